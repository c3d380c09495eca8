"""A publisher that can be started in an instant, and killed."""

from pathlib import Path

from model_manager.packaging.uploading import publish_package, read_package


def publish(package: str, destination: str) -> None:
    """Publish a package, as the command does."""
    folder = Path(package)
    publish_package(read_package(folder), folder.parent.name, folder.name, destination)
