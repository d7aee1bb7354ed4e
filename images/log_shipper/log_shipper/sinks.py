"""The sink that the settings name."""

from __future__ import annotations

from log_shipper.addresses import FolderAddress, HttpAddress
from log_shipper.settings import Settings
from log_shipper.sink import Sink


def open_sink(settings: Settings) -> Sink:
    """Return the sink; it connects when it sends.

    Each kind is imported alone: botocore takes more memory than all the rest.
    """
    address = settings.sink
    if isinstance(address, FolderAddress):
        from log_shipper.folder_sink import FolderSink

        return FolderSink(address.path)
    if isinstance(address, HttpAddress):
        from log_shipper.http_sink import HttpSink

        return HttpSink(
            address, settings.token_file, settings.ca_file, settings.timeout_seconds
        )
    from log_shipper.s3_sink import S3Sink

    return S3Sink(address, settings.timeout_seconds)
