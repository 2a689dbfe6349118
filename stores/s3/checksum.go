package s3

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A checksum is what the service checks parts by. That of an upload is fixed when it is
// begun: a service takes no part of another.
type checksum string

const (
	crc64NVME  checksum = "crc64nvme"
	crc32C     checksum = "crc32c"
	sha256Sum  checksum = "sha256"
	noChecksum checksum = "none"
)

// api returns what requests call it.
func (c checksum) api() types.ChecksumAlgorithm {
	switch c {
	case crc64NVME:
		return types.ChecksumAlgorithmCrc64nvme
	case crc32C:
		return types.ChecksumAlgorithmCrc32c
	case sha256Sum:
		return types.ChecksumAlgorithmSha256
	}
	return ""
}

// given returns the checksum of a body where it is computed here, nil where the SDK
// does.
func (c checksum) given(body any) *string {
	if b, ok := body.(*buffered); ok && c == crc64NVME {
		return aws.String(crc64Header(b.bytes))
	}
	return nil
}

// pick returns the checksum of an answer.
func (c checksum) pick(crc64, crc32c, sha256 *string) string {
	switch c {
	case crc64NVME:
		return aws.ToString(crc64)
	case crc32C:
		return aws.ToString(crc32c)
	case sha256Sum:
		return aws.ToString(sha256)
	}
	return ""
}

// put names the checksum of a part that is put together with others.
func (c checksum) put(p *types.CompletedPart, sum string) {
	switch c {
	case crc64NVME:
		p.ChecksumCRC64NVME = optional(sum)
	case crc32C:
		p.ChecksumCRC32C = optional(sum)
	case sha256Sum:
		p.ChecksumSHA256 = optional(sum)
	}
}
