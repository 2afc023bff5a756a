"""No credentials stand in a place of the configuration, so it may be printed and rendered."""

from typing import Any

import pytest
from pydantic import ValidationError

from des_core.settings.config import Settings

SECRET = "c4n4ry"
KEYS = ("output_dir", "scheduler", "endpoint", "source_roots")
WITH_SECRET = (
    f"https://user:{SECRET}@minio.example.org",
    f"https://{SECRET}@minio.example.org/path",
    f"tcp://x:{SECRET}/more@scheduler:8786",
    f"https://minio.example.org/?token={SECRET}",
    f"https://minio.example.org/#{SECRET}",
    f"s3://key:{SECRET}@bucket/prefix",
    f"s3://key:{SECRET}/more@bucket/prefix",
    f"s3://bucket/prefix?X-Amz-Signature={SECRET}",
    *(f"key:{SECRET}@minio:9000", f"key:{SECRET}/{SECRET}@minio", f"http:/key:{SECRET}@minio"),
    *(f"//key:{SECRET}@minio/x", f"tcp:key:{SECRET}@scheduler:8786"),
)
PLAIN = (
    *(
        "/mnt/des/a@b:c?d=e#f",
        "/a:b@c",
        "scheduler:8786",
        "s3://bucket/a@b#c?d",
        "abfss://container@account.example/x",
    ),
    *("https://minio.example.org:9000", "tcp://scheduler:8786", "tls://scheduler:8786"),
)


def settings_with(key: str, value: str) -> Settings:
    packer: dict[str, Any] = {"output_dir": "/out"}
    if key == "endpoint":
        packer["object_store"] = {"endpoint": value}
    else:
        packer[key] = [value] if key == "source_roots" else value
    return Settings.model_validate({"database": {"url": "sqlite:////db"}, "packer": packer})


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", WITH_SECRET)
def test_a_url_with_credentials_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match="without login") as caught:
        settings_with(key, value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", PLAIN)
def test_what_has_none_is_taken_as_it_is(key: str, value: str) -> None:
    assert value in str(settings_with(key, value).packer)
