"""Makes Fixtures/images: one image of 28 x 28 as raw bytes and as PNG in three pixel formats, and a PNG of 8 x 8.

Only Python's standard library (zlib); no random numbers. Gray RGBA pixels are opaque; 16-bit gray is 257 times the byte.
Run: python Tests/NeedletailCLITests/Fixtures/make_images.py
"""

import os
import struct
import zlib

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")


def png(width, height, color_type, bit_depth, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def main():
    os.makedirs(FOLDER, exist_ok=True)
    # The band of class 3 of PredictCommandTests, with another pattern of noise.
    image = [bytes((200 + column % 50) if row // 3 == 3 else (column * 5 + row * 11) % 40 for column in range(28)) for row in range(28)]
    files = {
        "band3.raw": b"".join(image),
        "band3-gray8.png": png(28, 28, 0, 8, image),
        "band3-rgba.png": png(28, 28, 6, 8, [b"".join(bytes([v, v, v, 255]) for v in row) for row in image]),
        "band3-gray16.png": png(28, 28, 0, 16, [b"".join(bytes([v, v]) for v in row) for row in image]),
        "small.png": png(8, 8, 0, 8, [bytes(8)] * 8),
    }
    for name, data in files.items():
        with open(os.path.join(FOLDER, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
