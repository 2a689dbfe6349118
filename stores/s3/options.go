package s3

import (
	"strings"

	"ingest/internal/errcode"
)

// Options say how a store uses its bucket. The zero value of a field means its
// default.
type Options struct {
	Bucket string
	Prefix string // of all names, "" or ending in a slash

	// Memory is what one upload holds of parts, begun or being sent, bytes: 128
	// MiB. It is exceeded only where two parts are larger than it.
	Memory int64
	// Parallel is how many parts of one upload are sent at once: 4.
	Parallel int
	// PartSize fixes the size of all parts, bytes, for services that demand
	// equal parts; the largest object is then 10,000 of them. 0 lets parts grow.
	PartSize int64
	// MaxObject is the largest object that the service takes, bytes: 5 TiB. 10,000
	// parts of 5 GiB are the most.
	MaxObject int64

	// Checksum is what the service checks each part by: crc64nvme, crc32c,
	// sha256, or none for services without checksums. crc32c.
	Checksum string
	// Encryption is "" for the bucket's own, "AES256" (SSE-S3) or "aws:kms".
	Encryption string
	KMSKey     string // of aws:kms; "" means the service's own
	// StorageClass of the images' bytes; "" means the bucket's own.
	StorageClass string
	// OneWriter vouches that no other process writes to the prefix.
	OneWriter bool
}

const (
	defaultMemory   = 128 << 20
	defaultParallel = 4
	minPart         = 5 << 20 // Amazon S3 user guide, "multipart upload limits"
	maxPart         = 5 << 30
	maxParts        = 10_000
	defaultMaxObj   = 5 << 40
)

func (o Options) withDefaults() (Options, error) {
	if o.Bucket == "" {
		return o, errcode.New(errcode.BadRequest, "an s3 store needs a bucket")
	}
	if o.Prefix = strings.Trim(o.Prefix, "/"); o.Prefix != "" {
		o.Prefix += "/"
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.PartSize != 0 && (o.PartSize < minPart || o.PartSize > maxPart) {
		return o, errcode.New(errcode.BadRequest, "a part has from %d to %d bytes, not %d", minPart, maxPart, o.PartSize)
	}
	if o.MaxObject == 0 {
		o.MaxObject = defaultMaxObj
	}
	if o.MaxObject < 0 || o.MaxObject > maxParts*maxPart {
		return o, errcode.New(errcode.BadRequest, "an object has up to %d bytes, not %d", int64(maxParts*maxPart), o.MaxObject)
	}
	switch o.Checksum {
	case "":
		o.Checksum = string(crc32C)
	case string(crc64NVME), string(crc32C), string(sha256Sum), string(noChecksum):
	default:
		return o, errcode.New(errcode.BadRequest, "the checksum %q is not crc64nvme, crc32c, sha256 or none", o.Checksum)
	}
	switch o.Encryption {
	case "", "AES256", "aws:kms":
	default:
		return o, errcode.New(errcode.BadRequest, "the encryption %q is not AES256 or aws:kms", o.Encryption)
	}
	if o.KMSKey != "" && o.Encryption != "aws:kms" {
		return o, errcode.New(errcode.BadRequest, "a KMS key needs the encryption aws:kms")
	}
	return o, nil
}
