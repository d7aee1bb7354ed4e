"""Container images: built by any builder, pushed by digest, rebuilt only when changed.

    images.build()                    all that changed; names of what was built
    images.push()                     what the registry lacks; writes images.lock
    images.export_archive("pause", path)
    images.model_folder("employment")

`images/images.toml` is the table of images; docs/how-to/images.md the manual.
"""

from slipway.images.archives import export_archive, host_archives
from slipway.images.builds import build, context
from slipway.images.cli import command
from slipway.images.errors import ImageError
from slipway.images.lock import lock_path
from slipway.images.models import model_folder, real_rows
from slipway.images.registry import push
from slipway.images.table import Image, images

__all__ = [
    "Image",
    "ImageError",
    "build",
    "command",
    "context",
    "export_archive",
    "host_archives",
    "images",
    "lock_path",
    "model_folder",
    "push",
    "real_rows",
]
