"""Settings of the hub, the operator's one-time code and sessions."""

from sqlalchemy import Connection, delete, insert, select, update

from sync.hub.store.schema import admin_session, setting

_ADMIN_CODE = "admin_code_hash"


def put_setting(connection: Connection, name: str, value: str) -> None:
    """Write one setting."""
    if connection.execute(update(setting).where(setting.c.name == name).values(value=value)).rowcount == 0:
        connection.execute(insert(setting).values(name=name, value=value))


def find_setting(connection: Connection, name: str) -> str | None:
    """Return one setting."""
    value: str | None = connection.execute(select(setting.c.value).where(setting.c.name == name)).scalar()
    return value


def put_admin_code(connection: Connection, code_hash: bytes) -> None:
    """Keep the hash of the operator's next one-time code; an older one is void."""
    put_setting(connection, _ADMIN_CODE, code_hash.hex())


def has_had_admin_code(connection: Connection) -> bool:
    """Return whether a code was ever given out."""
    return find_setting(connection, _ADMIN_CODE) is not None


def use_admin_code(connection: Connection, code_hash: bytes) -> bool:
    """Spend the operator's code; return whether it was the right one."""
    this = (setting.c.name == _ADMIN_CODE) & (setting.c.value == code_hash.hex())
    return connection.execute(update(setting).where(this).values(value="used")).rowcount == 1


def add_session(connection: Connection, token_hash: bytes, now_ms: int, expires_ms: int) -> None:
    """Keep a session, and forget those that are over."""
    connection.execute(delete(admin_session).where(admin_session.c.expires_ms <= now_ms))
    connection.execute(insert(admin_session).values(token_hash=token_hash, expires_ms=expires_ms))


def has_session(connection: Connection, token_hash: bytes, now_ms: int) -> bool:
    """Return whether the session is known and not over."""
    this = (admin_session.c.token_hash == token_hash) & (admin_session.c.expires_ms > now_ms)
    return connection.execute(select(admin_session.c.expires_ms).where(this)).scalar() is not None


def remove_session(connection: Connection, token_hash: bytes) -> None:
    """End a session; safe to repeat."""
    connection.execute(delete(admin_session).where(admin_session.c.token_hash == token_hash))
