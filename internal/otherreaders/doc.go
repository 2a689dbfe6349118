// Package otherreaders holds programs beside qemu-img that read disk images, as
// witnesses of what ingest writes: who wrote qemu-img's readers wrote its
// writers too, and a mistake that both share is seen by neither.
//
// The programs, as Debian packages; each has its own code for every format:
//
//	7-Zip    7zip 26.02: qcow2, VMDK, VHD, VHDX, VDI
//	libyal   python3-libqcow 20201213, python3-libvmdk 20200926 and
//	         python3-libvhdi 20210425: qcow2, VMDK, VHD, VHDX
//
// What a program is known not to read is in its list of limits, and a test
// keeps that list true. Programs that stand on the same libraries are no
// witnesses of their own: The Sleuth Kit's img_cat and xmount read VHD and VMDK
// through libyal, guestfish and virt-v2v read through QEMU.
package otherreaders
