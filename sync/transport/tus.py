"""What box and hub call the things of an upload by HTTP: tus 1.0.0, and what boxes may ask beyond it."""

UPLOADS_PATH = "/api/uploads"
TUS_VERSION = "1.0.0"
TUS_RESUMABLE = "Tus-Resumable"
UPLOAD_OFFSET = "Upload-Offset"
UPLOAD_LENGTH = "Upload-Length"
HEARTBEAT = "Edgebox-Heartbeat"
HEARTBEAT_SECONDS = 2
UPLOAD_TYPE = "application/offset+octet-stream"
OFFSETS_TYPE = "application/vnd.edgebox.offsets"
ACK_TYPE = "application/vnd.edgebox.ack"
