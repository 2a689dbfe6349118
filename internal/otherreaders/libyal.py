"""Writes the guest's bytes of a disk image to a sparse file, by libyal.

Usage: libyal.py FORMAT IMAGE OUTPUT; FORMAT is qcow2, vmdk, vhd or vhdx.
"""
import sys

CHUNK = 1 << 20


def open_image(kind, path):
    if kind == "qcow2":
        import pyqcow
        return pyqcow.open(path)
    if kind == "vmdk":
        import pyvmdk
        disk = pyvmdk.handle()
        disk.open(path)
        if disk.number_of_extents == 1:
            # The name by which a sparse extent calls its own file is not to matter.
            disk.open_extent_data_files_file_objects([open(path, "rb")])
        else:
            disk.open_extent_data_files()
        return disk
    import pyvhdi
    return pyvhdi.open(path)


def main(kind, path, output):
    disk = open_image(kind, path)
    left = disk.get_media_size()
    with open(output, "wb") as out:
        out.truncate(left)
        while left:
            data = disk.read_buffer(min(left, CHUNK))
            if not data:
                sys.exit(f"{left} bytes before the end nothing is read")
            if data.count(0) == len(data):
                out.seek(len(data), 1)
            else:
                out.write(data)
            left -= len(data)


main(*sys.argv[1:])
