"""Install synthflaw from what settings.ini says, so that each fact is written once."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
readme = here / "README.md"

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else cfg["description"],
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    keywords=cfg["keywords"].split(),
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Natural Language :: English",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require={
        k.removesuffix("_requirements"): v.split()
        for k, v in cfg.items()
        if k.endswith("_requirements")
    },
    packages=find_packages(include=["synthflaw", "synthflaw.*"]),
    package_data={
        "synthflaw": ["records/**/*", "templates/*"]
    },  # weights and recorded runs; the forms of all pages
    include_package_data=False,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [
            "synthflaw = synthflaw._modidx:d"
        ],  # lets nbdev link names in prose to their page
    },
    zip_safe=False,
)
