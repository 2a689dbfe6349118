package errcode

// Codes of images and their sources. Every IMG_ code is permanent unless its
// descriptor says otherwise.
const (
	SourceScheme         Code = "IMG_SOURCE_SCHEME"
	SourceURLInvalid     Code = "IMG_SOURCE_URL_INVALID"
	SourceURLSecret      Code = "IMG_SOURCE_URL_SECRET"
	SourceAddrBlocked    Code = "IMG_SOURCE_ADDR_BLOCKED"
	SourceRedirect       Code = "IMG_SOURCE_REDIRECT"
	SourceUnreachable    Code = "IMG_SOURCE_UNREACHABLE"
	SourceNotFound       Code = "IMG_SOURCE_NOT_FOUND"
	SourceAuth           Code = "IMG_SOURCE_AUTH"
	SourceChanged        Code = "IMG_SOURCE_CHANGED"
	SourceTooLarge       Code = "IMG_SOURCE_TOO_LARGE"
	SourceTooSlow        Code = "IMG_SOURCE_TOO_SLOW"
	SourceLengthMismatch Code = "IMG_SOURCE_LENGTH_MISMATCH"
	SourceEncoding       Code = "IMG_SOURCE_ENCODING"
	SourceAmbiguous      Code = "IMG_SOURCE_AMBIGUOUS"
	SourceNotReady       Code = "IMG_SOURCE_NOT_READY"
	SourceUnversioned    Code = "IMG_SOURCE_UNVERSIONED"
	SourceDeactivated    Code = "IMG_SOURCE_DEACTIVATED"
	SourceDescription    Code = "IMG_SOURCE_DESCRIPTION"
	SourceNotRegular     Code = "IMG_SOURCE_NOT_REGULAR"
	SourceOutsideRoots   Code = "IMG_SOURCE_OUTSIDE_ROOTS"
	ChecksumMismatch     Code = "IMG_CHECKSUM_MISMATCH"
	ChecksumInvalid      Code = "IMG_CHECKSUM_INVALID"
	ChecksumAlgorithm    Code = "IMG_CHECKSUM_ALGORITHM"
	ChecksumFileMissing  Code = "IMG_CHECKSUM_FILE_MISSING"
	ChecksumFileInvalid  Code = "IMG_CHECKSUM_FILE_INVALID"
	ChecksumEntryMissing Code = "IMG_CHECKSUM_ENTRY_MISSING"
	ChecksumEntries      Code = "IMG_CHECKSUM_ENTRIES_DIFFER"
	SignatureMissing     Code = "IMG_SIGNATURE_MISSING"
	SignatureInvalid     Code = "IMG_SIGNATURE_INVALID"
	SignatureWeak        Code = "IMG_SIGNATURE_WEAK"
	SignatureExpired     Code = "IMG_SIGNATURE_EXPIRED"
	SignatureFuture      Code = "IMG_SIGNATURE_FUTURE"
	SignatureKeyUnknown  Code = "IMG_SIGNATURE_KEY_UNKNOWN"
	SignatureKeyExpired  Code = "IMG_SIGNATURE_KEY_EXPIRED"
	SignatureKeyRevoked  Code = "IMG_SIGNATURE_KEY_REVOKED"
	KeyringUnknown       Code = "IMG_KEYRING_UNKNOWN"
	Empty                Code = "IMG_EMPTY"
	SizeUnaligned        Code = "IMG_SIZE_UNALIGNED"
	FormatUnknown        Code = "IMG_FORMAT_UNKNOWN"
	FormatMismatch       Code = "IMG_FORMAT_MISMATCH"
	FormatAmbiguous      Code = "IMG_FORMAT_AMBIGUOUS"
	FormatNotAllowed     Code = "IMG_FORMAT_NOT_ALLOWED"
	NestedFormat         Code = "IMG_NESTED_FORMAT"
	MemberMissing        Code = "IMG_MEMBER_MISSING"
	MemberMismatch       Code = "IMG_MEMBER_MISMATCH"
	VirtualSizeZero      Code = "IMG_VIRTUAL_SIZE_ZERO"
	VirtualSizeTooLarge  Code = "IMG_VIRTUAL_SIZE_TOO_LARGE"
	ExpansionRatio       Code = "IMG_EXPANSION_RATIO"
	Truncated            Code = "IMG_TRUNCATED"
	TableBounds          Code = "IMG_TABLE_BOUNDS"
	GPTInvalid           Code = "IMG_GPT_INVALID"
	MBRInvalid           Code = "IMG_MBR_INVALID"
	PartitionBounds      Code = "IMG_PARTITION_BOUNDS"
	PartitionLoop        Code = "IMG_PARTITION_LOOP"
	AliasedBlocks        Code = "IMG_ALIASED_BLOCKS"
	CompressionCorrupt   Code = "IMG_COMPRESSION_CORRUPT"
	DecompressedTooLarge Code = "IMG_DECOMPRESSED_TOO_LARGE"
	DecompressorMemory   Code = "IMG_DECOMPRESSOR_MEMORY"
	CompressionNested    Code = "IMG_COMPRESSION_NESTED"
	CompressionMethod    Code = "IMG_COMPRESSION_METHOD"
	TrailingData         Code = "IMG_TRAILING_DATA"
	ZipInvalid           Code = "IMG_ZIP_INVALID"
	OVANotTar            Code = "IMG_OVA_NOT_TAR"
	OVANoOVF             Code = "IMG_OVA_NO_OVF"
	OVFInvalid           Code = "IMG_OVA_OVF_INVALID"
	OVFTooLarge          Code = "IMG_OVA_OVF_TOO_LARGE"
	OVFDTD               Code = "IMG_OVA_OVF_DTD"
	OVAPath              Code = "IMG_OVA_PATH"
	OVALink              Code = "IMG_OVA_LINK"
	OVADuplicate         Code = "IMG_OVA_DUPLICATE"
	OVASparse            Code = "IMG_OVA_SPARSE"
	OVAPax               Code = "IMG_OVA_PAX"
	OVATooManyMembers    Code = "IMG_OVA_TOO_MANY_MEMBERS"
	OVAUnreferenced      Code = "IMG_OVA_MEMBER_UNREFERENCED"
	OVAMemberMissing     Code = "IMG_OVA_MEMBER_MISSING"
	OVAMemberSize        Code = "IMG_OVA_MEMBER_SIZE"
	OVARemoteHref        Code = "IMG_OVA_REMOTE_HREF"
	OVADelta             Code = "IMG_OVA_DELTA"
	OVAManifest          Code = "IMG_OVA_MANIFEST_MISMATCH"
	OVACapacity          Code = "IMG_OVA_CAPACITY_MISMATCH"
	DockerLayout         Code = "IMG_DOCKER_LAYOUT"
	DockerLayer          Code = "IMG_DOCKER_LAYER"
	GCPLayout            Code = "IMG_GCP_LAYOUT"
	QCOW2Version         Code = "IMG_QCOW2_VERSION"
	QCOW2ClusterBits     Code = "IMG_QCOW2_CLUSTER_BITS"
	QCOW2Header          Code = "IMG_QCOW2_HEADER"
	QCOW2BackingFile     Code = "IMG_QCOW2_BACKING_FILE"
	QCOW2DataFile        Code = "IMG_QCOW2_DATA_FILE"
	QCOW2Feature         Code = "IMG_QCOW2_FEATURE"
	QCOW2Encrypted       Code = "IMG_QCOW2_ENCRYPTED"
	QCOW2Corrupt         Code = "IMG_QCOW2_CORRUPT"
	QCOW2Dirty           Code = "IMG_QCOW2_DIRTY"
	QCOW2Snapshots       Code = "IMG_QCOW2_SNAPSHOTS"
	QCOW2Compression     Code = "IMG_QCOW2_COMPRESSION"
	VMDKSubformat        Code = "IMG_VMDK_SUBFORMAT"
	VMDKDescriptorOnly   Code = "IMG_VMDK_DESCRIPTOR_ONLY"
	VMDKExtentPath       Code = "IMG_VMDK_EXTENT_PATH"
	VMDKDescriptor       Code = "IMG_VMDK_DESCRIPTOR"
	VMDKFooter           Code = "IMG_VMDK_FOOTER"
	VMDKHeader           Code = "IMG_VMDK_HEADER"
	VMDKGrain            Code = "IMG_VMDK_GRAIN"
	VMDKParent           Code = "IMG_VMDK_PARENT"
	VHDChecksum          Code = "IMG_VHD_CHECKSUM"
	VHDSizeMismatch      Code = "IMG_VHD_SIZE_MISMATCH"
	VHDHeader            Code = "IMG_VHD_HEADER"
	VHDDifferencing      Code = "IMG_VHD_DIFFERENCING"
	VHDSavedState        Code = "IMG_VHD_SAVED_STATE"
	VDIHeader            Code = "IMG_VDI_HEADER"
	VDIDifferencing      Code = "IMG_VDI_DIFFERENCING"
	ParallelsHeader      Code = "IMG_PARALLELS_HEADER"
	VHDXChecksum         Code = "IMG_VHDX_CHECKSUM"
	VHDXHeader           Code = "IMG_VHDX_HEADER"
	VHDXRegion           Code = "IMG_VHDX_REGION"
	VHDXMetadata         Code = "IMG_VHDX_METADATA"
	VHDXLogInvalid       Code = "IMG_VHDX_LOG_INVALID"
	VHDXDifferencing     Code = "IMG_VHDX_DIFFERENCING"
	VHDXSector4K         Code = "IMG_VHDX_SECTOR_4K"
	LUKSUndeclared       Code = "IMG_LUKS_UNDECLARED"
	Contents             Code = "IMG_CONTENTS"
	ParserLimit          Code = "IMG_PARSER_LIMIT"
	ParserCrash          Code = "IMG_PARSER_CRASH"
	VerifyMismatch       Code = "IMG_VERIFY_MISMATCH"
	TargetFormat         Code = "IMG_TARGET_FORMAT"
	TargetOption         Code = "IMG_TARGET_OPTION"
	PolicySource         Code = "IMG_POLICY_SOURCE"
	PolicyFormat         Code = "IMG_POLICY_FORMAT"
	PolicyContainer      Code = "IMG_POLICY_CONTAINER"
	PolicyLimit          Code = "IMG_POLICY_LIMIT"
	PolicyUnverified     Code = "IMG_POLICY_UNVERIFIED"
	PolicyFinding        Code = "IMG_POLICY_FINDING"
	PolicyGuest          Code = "IMG_POLICY_GUEST"
	PolicyStore          Code = "IMG_POLICY_STORE"
)

// Codes of the destinations that images are exported to.
const (
	DestinationInvalid     Code = "DESTINATION_INVALID"
	DestinationScheme      Code = "DESTINATION_SCHEME"
	DestinationSecret      Code = "DESTINATION_SECRET"
	DestinationOutside     Code = "DESTINATION_OUTSIDE"
	DestinationMissing     Code = "DESTINATION_MISSING"
	DestinationAuth        Code = "DESTINATION_REFUSED"
	DestinationUnreachable Code = "DESTINATION_UNREACHABLE"
)

// Codes of the service around the images.
const (
	Internal            Code = "INTERNAL"
	BadRequest          Code = "BAD_REQUEST"
	NotFound            Code = "NOT_FOUND"
	Conflict            Code = "CONFLICT"
	Forbidden           Code = "FORBIDDEN"
	PolicyInvalid       Code = "POLICY_INVALID"
	AccessRulesInvalid  Code = "ACCESS_RULES_INVALID"
	MethodNotAllowed    Code = "METHOD_NOT_ALLOWED"
	MediaType           Code = "MEDIA_TYPE_UNSUPPORTED"
	RangeInvalid        Code = "RANGE_NOT_SATISFIABLE"
	StatusTransition    Code = "STATUS_TRANSITION"
	IdempotencyReuse    Code = "IDEMPOTENCY_KEY_REUSED"
	NoSpace             Code = "NO_SPACE"
	QuotaExceeded       Code = "QUOTA_EXCEEDED"
	StoreUnavailable    Code = "STORE_UNAVAILABLE"
	StoreUnknown        Code = "STORE_UNKNOWN"
	UploadFenced        Code = "UPLOAD_FENCED"
	UploadUnknown       Code = "UPLOAD_UNKNOWN"
	StagingLost         Code = "STAGING_LOST"
	Gone                Code = "GONE"
	UploadCutOff        Code = "UPLOAD_CUT_OFF"
	UploadStalled       Code = "UPLOAD_STALLED"
	UploadsAtOnce       Code = "TOO_MANY_UPLOADS"
	CatalogueBusy       Code = "CATALOGUE_UNAVAILABLE"
	WorkflowService     Code = "WORKFLOW_SERVICE_UNAVAILABLE"
	TaskCancelled       Code = "TASK_CANCELLED"
	TaskTerminated      Code = "TASK_TERMINATED"
	TaskTimedOut        Code = "TASK_TIMED_OUT"
	TaskLost            Code = "TASK_LOST"
	DryRunTimedOut      Code = "DRY_RUN_TIMED_OUT"
	WorkerStopping      Code = "WORKER_STOPPING"
	DestinationExist    Code = "DESTINATION_EXISTS"
	ProvenanceKey       Code = "PROVENANCE_KEY_INVALID"
	ProvenanceInvalid   Code = "PROVENANCE_INVALID"
	ProvenanceSignature Code = "PROVENANCE_SIGNATURE_INVALID"
	ProvenanceMismatch  Code = "PROVENANCE_MISMATCH"

	StoreUnsuitable      Code = "STORE_UNSUITABLE"
	StoreReadOnly        Code = "STORE_READ_ONLY"
	LocationOutside      Code = "STORE_LOCATION_OUTSIDE"
	ObjectTooLarge       Code = "STORE_OBJECT_TOO_LARGE"
	CredentialUnknown    Code = "CREDENTIAL_UNKNOWN"
	CredentialInvalid    Code = "CREDENTIAL_INVALID"
	CredentialMode       Code = "CREDENTIAL_FILE_MODE"
	CredentialType       Code = "CREDENTIAL_TYPE"
	CredentialNotAllowed Code = "CREDENTIAL_NOT_ALLOWED"

	ServerUnreachable Code = "SERVER_UNREACHABLE"
	ServerNotIngest   Code = "SERVER_NOT_INGEST"
	CloudConfig       Code = "CLOUD_CONFIG_INVALID"

	Unauthenticated     Code = "UNAUTHENTICATED"
	TooManyRequests     Code = "TOO_MANY_REQUESTS"
	IdentityUnavailable Code = "IDENTITY_UNAVAILABLE"
	IdentityFile        Code = "IDENTITY_FILE_INVALID"
)

var table = []Descriptor{
	{SourceScheme, "The source's URL scheme is not one that ingest fetches from.", 400, false, "Use an http, https, s3 or glance URL, or a file below one of the server's file roots."},
	{SourceURLInvalid, "The source's URL is malformed or written in a way that hides where it leads (user info, encoded address, control characters).", 400, false, "Write the plain URL: scheme, host name, optional port, path."},
	{SourceURLSecret, "The source's URL holds a secret, such as a signature or a token, which would be kept with the task.", 400, false, "Ask the operator to keep the whole URL as a credential of type url; then give the URL without its query, and the credential's name. Where signed URLs may be kept, the server runs with --allow-signed-urls."},
	{SourceAddrBlocked, "The source's host resolves to an address that the operator does not allow (loopback, private, link-local, metadata).", 403, false, "Use a public address, or ask the operator to start the server with --allow-net for that network."},
	{SourceRedirect, "The source redirects too often, or to a place that is not allowed.", 400, false, "Give the final URL of the image itself."},
	{SourceUnreachable, "The source could not be reached or stopped answering.", 502, true, "Check that the URL answers from the server's network; the operator's log has the detail."},
	{SourceNotFound, "The source does not exist.", 404, false, "Check the path or URL for spelling."},
	{SourceAuth, "The source refuses access.", 403, false, "Make the source readable to the server, or use a URL that carries its own authorisation."},
	{SourceChanged, "The source's validator (ETag, modification time or length) changed while it was being read.", 409, false, "Import it again once the source has stopped changing."},
	{SourceTooLarge, "The source has more bytes than the operator allows.", 413, false, "Import a smaller or compressed image, or ask the operator to raise the limit."},
	{SourceTooSlow, "The source sent less than the minimum rate for too long.", 504, true, "Try a nearer mirror, or again later."},
	{SourceLengthMismatch, "The source ended before or after the length that it announced.", 502, true, "Check that the source is complete; a proxy in between may be cutting it."},
	{SourceEncoding, "The source's server sent a Content-Encoding, so the bytes are not the file's own.", 415, false, "Serve the image file without transparent compression."},
	{SourceAmbiguous, "Several images of the source's cloud have the name that was given.", 409, false, "Name the image by its id, in place of its name."},
	{SourceNotReady, "The image has no bytes in its cloud yet.", 409, false, "Import it once its cloud shows it as active."},
	{SourceUnversioned, "A schedule's source says nothing by which a new version could be told from the last one.", 422, false, "Name a checksum file, or choose another kind of comparison: the server gives neither what was chosen nor, for auto, a digest, version, ETag or date."},
	{SourceDeactivated, "The image is deactivated in its cloud, whose administrators keep its bytes from being read.", 403, false, "Ask the administrators of that cloud to reactivate the image, or import another one."},
	{SourceDescription, "What an image service says of the image is too little to clone it by, or more than can be taken over.", 422, false, "Import the image by its glance URL: an import finds out by itself what the bytes are, and takes of the description what fits."},
	{SourceNotRegular, "The source is not a regular file.", 400, false, "Name a regular file, not a device, pipe, socket, folder or symbolic link."},
	{SourceOutsideRoots, "The source's path does not lie below a folder from which the server may read.", 403, false, "Move the file below one of the server's file roots, or start the server with --file-roots DIR[:DIR]."},
	{ChecksumMismatch, "The source's bytes do not have the digest that was given.", 422, false, "Fetch the image again from its publisher and compare the digest; the download may be damaged or the wrong version."},
	{ChecksumInvalid, "The digest that was given cannot be understood.", 400, false, "Write it as sha256:HEX or sha512:HEX."},
	{ChecksumAlgorithm, "The digest is of an algorithm that proves nothing here: SHA-1, MD5 where it is not admitted, or one that is not known.", 422, false, "Give a sha256 or sha512 digest of the publisher; if there is only an MD5, the operator can admit it with ingest serve --allow-md5."},
	{ChecksumFileMissing, "There is no checksum file at the given place, or under any of the usual names beside the image.", 422, false, "Give the checksum file's own URL with --checksum-file, or the digest with --checksum."},
	{ChecksumFileInvalid, "The checksum file holds no digests that can be read, or is larger than one can be.", 422, false, "Look at the file: it must be as sha256sum writes it, with or without --tag, and may be clearsigned. Or give the digest with --checksum."},
	{ChecksumEntryMissing, "The checksum file does not name a file of the image.", 422, false, "Give the checksum file that belongs to this image, and the image's URL with the file name that stands there; a further file may have a digest of its own."},
	{ChecksumEntries, "The checksum file gives one file several digests of one algorithm.", 422, false, "Ask the publisher which one is right, and give that with --checksum."},
	{SignatureMissing, "A signature is demanded, and none was found.", 422, false, "Give the signature's own URL with --signature, or ask the publisher for it; if none is demanded by policy, import without --signature and --keyring."},
	{SignatureInvalid, "The signature is not one of these bytes, or cannot be read.", 422, false, "Do not use the image. Fetch the file and its signature again from the publisher; if they still do not fit each other, report it to the publisher."},
	{SignatureWeak, "The signature rests on a hash or a key that can be forged: SHA-1, MD5, DSA, or RSA of fewer than 2048 bits.", 422, false, "Ask the publisher for a signature with SHA-256 or SHA-512 and a key of today's strength, or give a digest that you trust with --checksum."},
	{SignatureExpired, "The signature has expired.", 422, false, "Ask the publisher for a fresh signature, or import a later version of the image."},
	{SignatureFuture, "The signature was made in the future.", 422, false, "Check the clock of the server that runs ingest; if it is right, the publisher's is wrong, or the signature is not genuine."},
	{SignatureKeyUnknown, "The signature's key is not in the keyring.", 422, false, "If you trust the key, have the operator add it to a keyring (ingest serve --keyring NAME=FILE); make sure of its fingerprint first."},
	{SignatureKeyExpired, "The signature's key has expired.", 422, false, "Have the operator fetch the publisher's key again: its life may have been extended. Otherwise ask for a signature with a valid key."},
	{SignatureKeyRevoked, "The signature's key has been revoked by its owner.", 422, false, "Do not use the image. Ask the publisher which key is in use, and for a signature with that one."},
	{KeyringUnknown, "The keyring that was named is not there, or the server has none.", 400, false, "Name one of the server's keyrings, or none to try all; the operator adds one with ingest serve --keyring NAME=FILE."},
	{Empty, "The source has no bytes.", 422, false, "Check that the upload or export had finished."},
	{SizeUnaligned, "The virtual size is not a multiple of 512 bytes.", 422, false, "Pad the disk with zeros to a whole sector."},
	{FormatUnknown, "The bytes are not of the format that was declared, nor of any other that ingest knows.", 415, false, "Check with `ingest inspect` what the file is, and declare that format."},
	{FormatMismatch, "The declared format and the detected one differ.", 415, false, "Declare the format that `ingest inspect` shows, or none."},
	{FormatAmbiguous, "The bytes match more than one format, so that different programs would see different disks.", 415, false, "Convert the disk to a clean image with a trusted tool and import that."},
	{FormatNotAllowed, "The format is known but not accepted.", 415, false, "Convert the image to qcow2, raw, VMDK or VHD first."},
	{NestedFormat, "The guest's own bytes are again a disk image.", 422, false, "Import the inner image itself."},
	{MemberMissing, "The image is spread over several files, and one of them was not given.", 422, false, "Give every other file of the image with `--member FILE`: those that a VMDK names, under the names that it gives them, or all parents of a differencing disk."},
	{MemberMismatch, "A file that was given as a member does not belong to the image, or not as the image says.", 422, false, "Give as `--member FILE` exactly the files that the image names, each once and unchanged."},
	{VirtualSizeZero, "The image holds a disk of zero bytes.", 422, false, "Check the export; the disk is empty."},
	{VirtualSizeTooLarge, "The virtual size is larger than the operator allows, or than the target format holds.", 413, false, "Shrink the disk, choose a target format that holds it (docs/formats.md), or ask the operator to raise the limit."},
	{ExpansionRatio, "A few bytes expand to far more data than an honest image would hold.", 422, false, "Convert the disk with a trusted tool; if it is really that compressible, ask the operator to raise the limit."},
	{Truncated, "The image refers to bytes beyond the end of its file.", 422, false, "Fetch or export the image again; it was cut short."},
	{TableBounds, "A table of the image has a size or an offset that cannot be right.", 422, false, "Check the image with its own tool (for example `qemu-img check`) and export it again."},
	{GPTInvalid, "The disk's GPT is damaged, or its two copies and its protective MBR do not agree.", 422, false, "Repair the table before the import with `sgdisk --verify` and `gdisk`, or have the guest do it."},
	{MBRInvalid, "The disk's MBR, or the record of a logical partition, contradicts itself.", 422, false, "Repair the table with `fdisk` before the import."},
	{PartitionBounds, "A partition overlaps another one, or does not lie on the disk.", 422, false, "Compare the image's size with that of its origin; if it is whole, repair the table with `gdisk` or `fdisk`."},
	{PartitionLoop, "The chain of logical partitions is a loop.", 422, false, "The table is damaged or crafted: make it again with `fdisk`."},
	{AliasedBlocks, "Two places of the guest's disk share one place of the file.", 422, false, "The image is damaged or crafted: export it again from the running system."},
	{CompressionCorrupt, "A compressed block cannot be decompressed to its full length.", 422, false, "Fetch or export the image again; it is damaged."},
	{DecompressedTooLarge, "The source decompresses to more bytes than the operator allows.", 413, false, "Import a smaller disk, or a format that stores holes (qcow2, streamOptimized VMDK), or ask the operator to raise the limit."},
	{DecompressorMemory, "Decompressing the source needs more memory than the operator allows.", 422, false, "Compress it again with a smaller dictionary or window: `xz -9` at most, `zstd` without `--long` above 27."},
	{CompressionNested, "The source is compressed more than once.", 422, false, "Decompress it once and import the result."},
	{CompressionMethod, "The source is compressed in a way that ingest does not read.", 415, false, "Compress it again with plain `gzip`, `xz`, `zstd` or `bzip2`, without filters, dictionaries or encryption."},
	{TrailingData, "There are bytes behind the end of the compressed file or archive, so that different programs would see different files.", 422, false, "Fetch the file again, or compress its contents again; nothing but zeros may follow."},
	{ZipInvalid, "The zip archive is malformed, or does not hold exactly one file.", 422, false, "Put one disk image into the archive (`zip disk.zip disk.vmdk`), without comment, folder or password, or import the image itself."},
	{OVANotTar, "The archive is not a sound tar file.", 422, false, "Fetch or export it again; make archives by hand with `tar --format=ustar`."},
	{OVANoOVF, "The archive has several members, and the first is not an OVF descriptor.", 422, false, "Export the machine as OVA again; in an archive made by hand, put the .ovf file first, or only one disk image in."},
	{OVFInvalid, "The OVF descriptor is malformed or contradicts itself.", 422, false, "Export the machine again as OVF 1.0 or later, for example with `ovftool`."},
	{OVFTooLarge, "The OVF descriptor or its manifest holds more than ingest reads.", 413, false, "Export fewer disks at a time; a descriptor of one machine has a few kilobytes."},
	{OVFDTD, "The OVF descriptor has a document type declaration, which no OVF needs and attacks use.", 422, false, "Remove the declaration, or export the machine again."},
	{OVAPath, "A member of the archive, or a file that the descriptor names, has a name that is not a plain file name.", 422, false, "Make the archive flat: plain file names, no folders, no control characters or combining accents, at most 255 bytes. Save a container image again with `docker save`."},
	{OVALink, "A member of the archive is a link, a device, a folder or something else that is not a regular file.", 422, false, "Make the archive of regular files only (`tar --dereference --hard-dereference`)."},
	{OVADuplicate, "Two members of the archive have the same name, apart from upper and lower case, or two disks share one file.", 422, false, "Give each file its own name and export the machine again."},
	{OVASparse, "A member of the archive is a sparse file.", 422, false, "Make the archive without `--sparse`; only Compute Engine's disk.raw in a tar.gz may be sparse."},
	{OVAPax, "An extended header of the tar file changes what the plain header says.", 422, false, "Make the archive with `tar --format=gnu` or `--format=ustar`."},
	{OVATooManyMembers, "The archive has more members than the operator allows.", 413, false, "Leave out what does not belong to the machine, or import the disks themselves."},
	{OVAUnreferenced, "The archive holds a member that the OVF descriptor does not name.", 422, false, "Remove it from the archive, or export the machine again."},
	{OVAMemberMissing, "The OVF descriptor names a file that the archive does not hold.", 422, false, "Export the machine again; every file has to be in the archive itself."},
	{OVAMemberSize, "A member of the archive does not have the size that the OVF descriptor gives.", 422, false, "Fetch or export the machine again; it was changed or damaged."},
	{OVARemoteHref, "The OVF descriptor names a file elsewhere; ingest never fetches anything because a file says so.", 422, false, "Export the machine as one OVA file that holds everything."},
	{OVADelta, "A disk of the OVF is only what changed against another one.", 422, false, "Consolidate the machine's snapshots and export it again."},
	{OVAManifest, "The manifest of the OVA is malformed, does not list every file, or a file does not have the digest that stands there.", 422, false, "Fetch the OVA again; if you changed it yourself, make the manifest anew or leave it out."},
	{OVACapacity, "A disk does not have the capacity that the OVF descriptor gives.", 422, false, "Export the machine again."},
	{DockerLayout, "The files of a container image's archive do not fit together: no manifest, a file that it names is not there, or a blob does not have its digest.", 422, false, "Save the image again with `docker save` or `skopeo copy ... docker-archive:FILE`."},
	{DockerLayer, "A layer of the container image holds a member that could lead whoever unpacks it out of its folder, or a sparse file.", 422, false, "Build the image again from a base that you trust; the evidence names the member."},
	{GCPLayout, "The tar.gz is not what Compute Engine takes: exactly one member, disk.raw.", 422, false, "Make it with `tar --format=oldgnu -Sczf image.tar.gz disk.raw`."},
	{QCOW2Version, "The qcow2 version is not 2 or 3.", 415, false, "Convert with `qemu-img convert -O qcow2`."},
	{QCOW2ClusterBits, "The qcow2 cluster size is outside 512 bytes to 2 MiB.", 422, false, "Convert with `qemu-img convert -O qcow2`."},
	{QCOW2Header, "The qcow2 header contradicts itself.", 422, false, "Check the image with `qemu-img check` and export it again."},
	{QCOW2BackingFile, "The qcow2 image names a backing file, so it is only part of a disk; ingest never opens a file because an image says so.", 422, false, "Flatten it where its backing file is: `qemu-img convert -O qcow2 overlay.qcow2 whole.qcow2`, and import the result."},
	{QCOW2DataFile, "The qcow2 image keeps its data in another file; ingest never opens a file because an image says so.", 422, false, "Merge it where its data file is: `qemu-img convert -O qcow2 image.qcow2 whole.qcow2`, and import the result."},
	{QCOW2Feature, "The qcow2 image needs a feature that ingest does not know.", 415, false, "Convert with `qemu-img convert -O qcow2`."},
	{QCOW2Encrypted, "The qcow2 image is encrypted.", 422, false, "Decrypt it where its key is, with `qemu-img convert`, and import the result."},
	{QCOW2Corrupt, "The qcow2 image is marked as corrupt by the program that wrote it.", 422, false, "Repair it with `qemu-img check -r all` and import it again."},
	{QCOW2Dirty, "The qcow2 image was not closed cleanly; its mapping is still readable.", 422, false, "Nothing needs doing; `qemu-img check -r leaks` cleans the mark."},
	{QCOW2Snapshots, "The qcow2 image holds internal snapshots, which are not imported.", 422, false, "Nothing needs doing if the current state is what you want; otherwise apply the snapshot first."},
	{QCOW2Compression, "The qcow2 image uses an unknown compression type.", 415, false, "Convert with `qemu-img convert -O qcow2`."},
	{VMDKSubformat, "This kind of VMDK cannot be read from a single file.", 415, false, "Export as streamOptimized (OVF/OVA export, or `ovftool`), or convert to monolithicSparse."},
	{VMDKDescriptorOnly, "This is only the descriptor of a VMDK; the disk is in the files that it names.", 422, false, "Where all files are, convert it with `ingest convert disk.vmdk disk.qcow2 --member disk-flat.vmdk` and import the result; or export the machine as OVA."},
	{VMDKExtentPath, "The VMDK names other files; ingest never opens a file because an image says so.", 422, false, "Export as a single streamOptimized or monolithicSparse VMDK."},
	{VMDKDescriptor, "The VMDK's descriptor is malformed.", 422, false, "Export the disk again."},
	{VMDKFooter, "The VMDK's footer is missing or contradicts its header.", 422, false, "Fetch or export the image again; a stream that was cut short has no footer."},
	{VMDKHeader, "The VMDK's header contradicts itself.", 422, false, "Export the disk again; transfer it in binary mode."},
	{VMDKGrain, "A grain of the VMDK is malformed.", 422, false, "Fetch or export the image again; it is damaged."},
	{VMDKParent, "The VMDK is a delta on a parent disk.", 422, false, "Consolidate the snapshots, or clone the disk, and export the result."},
	{VHDChecksum, "A checksum within the VHD is wrong.", 422, false, "Fetch or export the image again; it is damaged."},
	{VHDSizeMismatch, "The VHD's size does not agree with its file or its table.", 422, false, "Export the image again; a fixed VHD must be its disk plus 512 bytes."},
	{VHDHeader, "The VHD's footer or header is malformed.", 422, false, "Export the image again."},
	{VHDDifferencing, "The VHD is a differencing disk and holds only what changed against its parent.", 422, false, "Where its parents are, convert it with `ingest convert child.vhd disk.qcow2 --member parent.vhd` and import the result; or merge it into its parent (Hyper-V: Merge-VHD; XenServer: coalesce)."},
	{VHDSavedState, "The VHD belongs to a machine in saved state.", 422, false, "Shut the machine down and export again."},
	{VDIHeader, "The VDI's header contradicts itself or its file.", 422, false, "Check the disk with `VBoxManage showmediuminfo` and export or clone it again (`VBoxManage clonemedium`)."},
	{VDIDifferencing, "The VDI is a differencing disk and holds only what changed against its parent.", 422, false, "Clone the machine or the medium (`VBoxManage clonemedium`), which merges the snapshots, and import the result."},
	{ParallelsHeader, "The Parallels image's header contradicts itself or its file.", 422, false, "Check the image where it was made (`prl_disk_tool`, `ploop check`) and export it again."},
	{VHDXChecksum, "A checksum within the VHDX is wrong.", 422, false, "Fetch or export the image again; it is damaged."},
	{VHDXHeader, "The VHDX's header contradicts itself, or says that the disk was not closed cleanly.", 422, false, "Open and close the disk with the program that wrote it, or export it again."},
	{VHDXRegion, "The VHDX's region table is malformed, or names a region that must be understood and is not known.", 422, false, "Export the disk again, with `Convert-VHD` or `qemu-img convert`."},
	{VHDXMetadata, "The VHDX's metadata are malformed, or hold an item that must be understood and is not known.", 422, false, "Export the disk again, with `Convert-VHD` or `qemu-img convert`."},
	{VHDXLogInvalid, "The VHDX was not closed cleanly and its log cannot be replayed.", 422, false, "Attach and detach the disk once where it was written (Hyper-V: `Mount-VHD`, `Dismount-VHD`), or run `qemu-img check -r all` on a copy, or convert it with `qemu-img convert`; then import the result."},
	{VHDXDifferencing, "The VHDX is a differencing disk and holds only what changed against its parent.", 422, false, "Merge it into its parent (Hyper-V: Merge-VHD) and import the result, or convert it where its parents are: `ingest convert child.vhdx whole.qcow2 --member parent.vhdx`."},
	{VHDXSector4K, "The VHDX's disk has logical sectors of 4096 bytes; its partition table counts in them.", 422, false, "Nothing needs doing if the machine that boots from it has such sectors; otherwise copy the guest to a disk with sectors of 512 bytes and import that."},
	{LUKSUndeclared, "The disk is encrypted with LUKS as a whole, so that nothing inside can be checked.", 422, false, "Decrypt the disk before importing it."},
	{Contents, "What the first bytes of a raw disk show: a partition table, a file system, or nothing that is known.", 422, false, "Nothing needs doing if it is what you expect."},
	{ParserLimit, "Reading the image would need more than ingest allows for it.", 422, false, "Convert the image with a trusted tool to a plain layout (64 KiB clusters) and import that."},
	{ParserCrash, "Reading the image made its reader fail in an unforeseen way.", 422, false, "Convert the image with a trusted tool, and report it: this is a bug."},
	{VerifyMismatch, "What was read back from the store is not what was written.", 500, true, "It is tried again by itself; if it comes back, check the storage's health."},
	{TargetFormat, "The target format is not one that ingest writes.", 400, false, "Use one of the formats and presets that `ingest convert` without arguments lists."},
	{TargetOption, "The target format does not take this option.", 400, false, "Run `ingest convert` without arguments: it lists what each format takes."},
	{PolicySource, "The operator's policy does not allow this source for the project.", 403, false, "Import from a place that the policy allows, or ask the operator; `ingest policy explain TASK` names the rule."},
	{PolicyFormat, "The operator's policy does not allow this source or target format for the project.", 403, false, "Convert the image to a format that the policy allows, or choose an allowed target; `ingest policy explain TASK` names the rule."},
	{PolicyContainer, "The operator's policy does not allow this archive or compression for the project.", 403, false, "Unpack the image, or pack it in a way that the policy allows; `ingest policy explain TASK` names the rule."},
	{PolicyLimit, "The image is larger than the operator's policy allows for the project.", 403, false, "Shrink the image, or ask the operator to raise the limit of the project."},
	{PolicyUnverified, "The operator's policy demands a digest, checksum file or signature that was not given or not verified.", 403, false, "Give what the policy demands with the request (`--checksum`, `--checksum-file`, `--signature`); `ingest policy explain TASK` names the rule."},
	{PolicyFinding, "The image has a finding that the operator's policy refuses.", 403, false, "Repair what the finding names with a trusted tool, and import the result."},
	{PolicyStore, "The operator's policy does not let images of the project into this store.", 403, false, "Use a store that the policy allows, or ask the operator; `ingest policy explain TASK` names the rule."},
	{PolicyGuest, "What is on the disk is not what the operator's policy asks for.", 403, false, "Import a disk with an allowed system, or ask the operator; `ingest inspect` shows what is on it."},

	{Internal, "Something failed that ingest did not foresee.", 500, true, "Look at the server's log by the task's id, and report it: this is a bug."},
	{BadRequest, "The request is malformed.", 400, false, "Correct the field that the message names."},
	{NotFound, "There is no such thing.", 404, false, "Check the id; `ingest task list` and `ingest image list` show what there is."},
	{Conflict, "The thing is not in a state that allows this.", 409, false, "Look at its status first."},
	{Forbidden, "This is not allowed.", 403, false, "Ask the owner or the operator."},
	{PolicyInvalid, "The policy file cannot be used.", 400, false, "Correct the lines that the message names; `ingest policy check FILE` lists all of them."},
	{AccessRulesInvalid, "The file of access rules or of property protections cannot be used.", 400, false, "Correct the lines that the message names; `ingest access list --rules FILE` reads such a file and lists all that is wrong."},
	{MethodNotAllowed, "This path does not take this method.", 405, false, "See the Allow header of the answer."},
	{MediaType, "The body is of a type that this path does not take.", 415, false, "Send the Content-Type that the message names."},
	{RangeInvalid, "The asked range lies outside the image.", 416, false, "Ask for bytes within the image's size."},
	{StatusTransition, "The status cannot change in this way.", 409, false, "Look at the current status; somebody else may have been first."},
	{IdempotencyReuse, "The idempotency key was used for a different request.", 409, false, "Use a new key, or repeat the first request exactly."},
	{QuotaExceeded, "The project has used up what it may have of images, of bytes or of imports at once.", 413, false, "Delete what is not needed, wait for running imports to end, or ask the operator for more; `ingest quota show` says how much of what is used."},
	{NoSpace, "There is no space left in staging or in the store.", 507, false, "Free space or add some, then submit the import again."},
	{StoreUnavailable, "The store could not be reached or refused the operation.", 503, true, "Check the store; the work goes on by itself when it is back."},
	{StoreUnknown, "There is no store of that name.", 409, false, "Use a store that the server knows."},
	{UploadFenced, "Another attempt has taken this upload over.", 409, true, "Nothing needs doing: the other attempt goes on."},
	{UploadUnknown, "There is no such upload.", 404, true, "It is begun again by itself."},
	{StagingLost, "The staged copy of the source is gone.", 500, true, "It is fetched again by itself."},
	{CatalogueBusy, "The catalogue's database does not answer.", 503, true, "Check the database; the work goes on by itself when it is back."},
	{Gone, "The image was deleted while a request worked on it.", 410, false, "Make a new image, and send the bytes again."},
	{UploadCutOff, "The bytes of an upload ended before all that was announced had come.", 400, false, "Send all of them again: the image is queued, and nothing of the upload was kept."},
	{UploadStalled, "The client of an upload sent nothing for longer than the server waits.", 408, false, "Send the bytes again, over a connection that does not stand still; the operator sets the time with --upload-stall."},
	{UploadsAtOnce, "The project sends as many images at once as the operator lets it.", 429, true, "Wait for one of the uploads to end; the operator sets the number with --uploads-per-project."},
	{WorkflowService, "The workflow service does not answer.", 503, true, "Check Temporal; what was accepted goes on by itself when it is back."},
	{TaskCancelled, "The task was cancelled.", 409, false, "Submit it again if that was a mistake."},
	{TaskTerminated, "The task's workflow was terminated from outside.", 500, false, "Submit it again."},
	{TaskTimedOut, "The task took longer than it is allowed to.", 504, false, "Look at the stage that took the time, then submit it again."},
	{DryRunTimedOut, "The dry run was not done in the time that a request may wait for it.", 504, true, "Ask again: all workers may be busy, or the source slow. An import of the same waits for its turn by itself."},
	{TaskLost, "The task's workflow was lost again and again.", 500, false, "Look at the server's log by the task's id, then submit it again."},
	{WorkerStopping, "The worker is shutting down.", 503, true, "Nothing needs doing: it goes on at the next start."},
	{DestinationExist, "The destination exists already.", 409, false, "Choose another name, or use --force to replace it."},
	{DestinationInvalid, "The destination of an export is malformed.", 400, false, "Write file:///PATH, s3://BUCKET/KEY, or an http or https URL."},
	{DestinationScheme, "The server sends images to no destinations of this kind.", 400, false, "Use one of the kinds that the evidence lists, or ask the operator to allow this one (ingest serve --export-roots, --export-buckets, --export-put)."},
	{DestinationSecret, "The destination's URL holds a secret, such as a signature or a token, which would be kept with the task.", 400, false, "Ask the operator to keep the whole URL as a credential of type url; then give the URL without its query, and the credential's name. Where signed URLs may be kept, the server runs with --allow-signed-urls."},
	{DestinationOutside, "The destination is not below a folder, or in a bucket, to which the server may export.", 403, false, "Choose a place that the operator allows with ingest serve --export-roots DIR or --export-buckets BUCKET."},
	{DestinationMissing, "The destination's folder or bucket is not there.", 404, false, "Make it, or check its spelling."},
	{DestinationAuth, "The destination refuses what is sent.", 403, false, "Let the server write there; name a credential that may, or sign the URL for PUT again."},
	{DestinationUnreachable, "The destination could not be reached, or did not take all bytes.", 502, true, "Check that it answers from the server's network; the operator's log has the detail."},
	{StoreReadOnly, "The store is read from only, and takes no images.", 409, false, "Import into another store; an image can be copied to it if its server has the bytes already."},
	{LocationOutside, "The location is not that of an object in one of the stores which the caller may make images of.", 400, false, "Name an object of a store as direct_url and locations do, or a file below the store's folder external; what lies elsewhere is imported with the method web-download."},
	{StoreUnsuitable, "The store's server lacks what keeps two workers from overwriting each other (conditional writes), or refuses what the store is set to.", 503, false, "Use a server with conditional writes, or declare the store with writers=one if a single ingest process uses it."},
	{ObjectTooLarge, "The image has more bytes than the store takes as one object.", 413, false, "Name another store or a target that compresses; in a bucket, raise max-object, or part-size if it is set, as far as the service allows."},
	{CredentialUnknown, "There is no credential of that name.", 403, false, "Run `ingest credential list` on the worker's host, and name one of those; or add it to the credentials file."},
	{CredentialInvalid, "A credential is written wrongly, or is not bound to any host.", 500, false, "Run `ingest credential check`, which says which line is wrong."},
	{CredentialMode, "The credentials file can be read by others than its owner.", 500, false, "Make it private: chmod 600 FILE."},
	{CredentialType, "The credential is of a type that this source or store does not take.", 400, false, "Name a credential of the type that the message asks for."},
	{CredentialNotAllowed, "The credential may not be used for this host or by this project.", 403, false, "Use a credential that is bound to the host and the project, or ask the operator to extend its binding."},
	{ProvenanceKey, "The key for provenance records cannot be used.", 400, false, "Give an Ed25519 key in PEM, the private one readable by its owner alone: `ingest provenance key new FILE` makes a pair."},
	{ProvenanceInvalid, "The provenance record is none.", 422, false, "Get it again with `ingest image provenance IMAGE --envelope`; if the server gives it like this, its catalogue was altered."},
	{ProvenanceSignature, "The provenance record is not signed by the key.", 422, false, "Ask the operator for the public key of the server that made the image; if it is this one, the record was altered."},
	{ProvenanceMismatch, "The provenance record does not fit the image.", 409, false, "Do not use the image: it, its catalogue row or the record was changed after the import."},
	{Unauthenticated, "The request does not prove who makes it: it has no token, or one that is unknown, expired or revoked.", 401, false, "Send a valid token as X-Auth-Token; the command line takes it from INGEST_TOKEN or --token, or logs in with OS_* variables or clouds.yaml."},
	{TooManyRequests, "More requests come than the operator lets this project, address or user make.", 429, true, "Wait as long as Retry-After says, and ask less often."},
	{IdentityUnavailable, "The identity service cannot be asked at the moment who makes the request.", 503, true, "Try again; if it stays so, see that Keystone answers, and look at the server's log."},
	{IdentityFile, "The file of tokens or of users cannot be used.", 500, false, "Correct the place that the message names, and make the file private: chmod 600 FILE."},
	{ServerUnreachable, "The command line could not reach an ingest server.", 503, true, "Start a server with `ingest serve`, or name one that runs with --server http://HOST:PORT or INGEST_URL."},
	{ServerNotIngest, "The server is an image service that lacks the routes that are ingest's own.", 404, false, "Use the commands that every image service knows (`ingest image`, `member`, `tag`; docs/cli.md), or name an ingest server with --server or INGEST_URL."},
	{CloudConfig, "What the command line is told of an OpenStack cloud (flags, OS_* variables, clouds.yaml) cannot be used.", 400, false, "Correct what the message names; docs/cli.md lists what is read, and in which order."},
}
