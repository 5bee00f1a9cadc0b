"""TLS for tests on loopback: a key that everybody knows, and the certificate that it signed for itself."""

import ssl
import tempfile
from pathlib import Path

_KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIF94TgsBaOnnD5ozgLtsJLrCqVtX/TBGjKlNAXJH7lA+oAoGCCqGSM49
AwEHoUQDQgAEHODz3SZYcfEt7FTd45991KJl3tTV8tZNWe/ENVwRlanlMYNPeGmX
Mk1VPpU7UVvUm145QJ6TxHSLNoKRQ+DDKA==
-----END EC PRIVATE KEY-----
"""
_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUf+NExzdyqxSemvVGEuHTrK+oUQkwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTEzMDEyN1oYDzIxMjYxMTAx
MTMwMTI3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQc4PPdJlhx8S3sVN3jn33UomXe1NXy1k1Z78Q1XBGVqeUxg094aZcy
TVU+lTtRW9SbXjlAnpPEdIs2gpFD4MMoo28wbTAdBgNVHQ4EFgQUU3qHCkTghVzt
NoplufPdYanVih0wHwYDVR0jBBgwFoAUU3qHCkTghVztNoplufPdYanVih0wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAJ5zkCBr9bAr9jwXz5DSpN40Gx1DflsnmYM3Th1cneY+AiEA
ozk46WxdhO0xF0psAQ13gxeOpd505uM27hsWo+Xr9aA=
-----END CERTIFICATE-----
"""


def server_context() -> ssl.SSLContext:
    """Return what a server called localhost needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_text(_KEY + _CERTIFICATE)
        context.load_cert_chain(path)
    return context


def client_context() -> ssl.SSLContext:
    """Return what trusts that server and nobody else."""
    return ssl.create_default_context(cadata=_CERTIFICATE)
