package s3

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/internal/errcode"
)

// multipart returns the service's id of the upload, which is begun with the
// first part.
func (u *upload) multipart(ctx context.Context) (string, error) {
	u.mm.Lock()
	defer u.mm.Unlock()
	if u.m.Multipart != "" {
		return u.m.Multipart, nil
	}
	o := u.s.o
	in := &s3.CreateMultipartUploadInput{
		Bucket: &o.Bucket, Key: aws.String(u.s.dataPath(u.id)), ChecksumAlgorithm: u.sum.api(),
		ServerSideEncryption: types.ServerSideEncryption(o.Encryption), SSEKMSKeyId: optional(o.KMSKey),
		StorageClass: types.StorageClass(o.StorageClass), ContentType: aws.String("application/octet-stream"),
	}
	if u.sum == crc64NVME {
		in.ChecksumType = types.ChecksumTypeFullObject
	}
	out, err := u.s.c.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	id := aws.ToString(out.UploadId)
	err = u.changeLocked(ctx, func(m *manifest) { m.Multipart = id })
	return id, err
}

// sendPart sends a whole part, or the last one. The service compares its
// checksum.
func (u *upload) sendPart(ctx context.Context, n int, body io.ReadSeeker, size int64) (sentPart, error) {
	id, err := u.multipart(ctx)
	if err != nil {
		return sentPart{}, storeError(err, "begin to send parts")
	}
	out, err := u.s.c.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.o.Bucket, Key: aws.String(u.s.dataPath(u.id)), UploadId: &id, PartNumber: aws.Int32(int32(n + 1)),
		Body: body, ContentLength: &size, ChecksumAlgorithm: u.sum.api(), ChecksumCRC64NVME: u.sum.given(body),
	})
	if err != nil {
		return sentPart{}, storeError(err, "send part %d", n+1)
	}
	p := sentPart{etag: aws.ToString(out.ETag), size: size}
	p.checksum = u.sum.pick(out.ChecksumCRC64NVME, out.ChecksumCRC32C, out.ChecksumSHA256)
	return p, nil
}

// listParts finds the parts that the service has whole. isMissing tells that
// there is no such multipart upload.
func (u *upload) listParts(ctx context.Context) error {
	p := s3.NewListPartsPaginator(u.s.c, &s3.ListPartsInput{
		Bucket: &u.s.o.Bucket, Key: aws.String(u.s.dataPath(u.id)), UploadId: aws.String(u.m.Multipart),
	})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, x := range page.Parts {
			n := int(aws.ToInt32(x.PartNumber)) - 1
			sp := sentPart{etag: aws.ToString(x.ETag), size: aws.ToInt64(x.Size), checksum: u.sum.pick(x.ChecksumCRC64NVME, x.ChecksumCRC32C, x.ChecksumSHA256)}
			if u.parts.lay.sizeOf(n) == sp.size { // one that is shorter was sent by a seal that did not end
				u.parts.sent[n] = sp
			}
		}
	}
	return nil
}

// complete puts the parts together and returns the ETag. One that is told that
// there is no such upload looks whether it was done before.
func (u *upload) complete(ctx context.Context, count int, size int64) (string, error) {
	id, err := u.multipart(ctx)
	if err != nil {
		return "", err
	}
	done := make([]types.CompletedPart, count)
	for n := range done {
		sp := u.parts.sent[n]
		done[n] = types.CompletedPart{PartNumber: aws.Int32(int32(n + 1)), ETag: aws.String(sp.etag)}
		u.sum.put(&done[n], sp.checksum)
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.o.Bucket, Key: aws.String(u.s.dataPath(u.id)), UploadId: &id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	}
	if u.sum == crc64NVME {
		in.ChecksumType = types.ChecksumTypeFullObject
	}
	if _, err := u.s.c.CompleteMultipartUpload(ctx, in); err != nil && !isMissing(err) {
		return "", err
	}
	return u.landed(ctx, size)
}

// putWhole stores bytes that are less than a part.
func (u *upload) putWhole(ctx context.Context, body io.ReadSeeker, size int64) (string, error) {
	o := u.s.o
	_, err := u.s.c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &o.Bucket, Key: aws.String(u.s.dataPath(u.id)), Body: body, ContentLength: &size,
		ChecksumAlgorithm: u.sum.api(), ChecksumCRC64NVME: u.sum.given(body), ServerSideEncryption: types.ServerSideEncryption(o.Encryption), SSEKMSKeyId: optional(o.KMSKey),
		StorageClass: types.StorageClass(o.StorageClass), ContentType: aws.String("application/octet-stream"),
	})
	if err != nil {
		return "", err
	}
	return u.landed(ctx, size)
}

// landed returns the ETag of the upload's bytes, which have to have the size.
func (u *upload) landed(ctx context.Context, size int64) (string, error) {
	have, etag, err := u.s.head(ctx, u.s.dataPath(u.id))
	if err == nil && have != size {
		err = errcode.New(errcode.VerifyMismatch, "the service has %d bytes of the %d that were sent", have, size)
	}
	return etag, err
}

// head returns size and ETag of an object.
func (s *Store) head(ctx context.Context, path string) (size int64, etag string, err error) {
	out, err := s.c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.o.Bucket, Key: &path})
	if err != nil {
		return 0, "", err
	}
	return aws.ToInt64(out.ContentLength), aws.ToString(out.ETag), nil
}

// heldName is the name of a piece of a held part. It holds the generation, so that a
// handle that was overtaken does not put its older bytes over those of its successor.
func (s *Store) heldName(id string, n int, gen int64, piece int) string {
	name := s.partPath(id, n) + "." + strconv.FormatInt(gen, 10)
	if piece == 0 {
		return name // as the only one was called of older uploads
	}
	return name + "." + strconv.Itoa(piece)
}

// keepHeld puts written bytes of a part below parts/: four bytes of length, the runs as
// JSON, and their bytes one after the other.
func (s *Store) keepHeld(ctx context.Context, pt *part, what runs, name string) error {
	head, err := json.Marshal(what)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+int64(len(head))+what.bytes()), uint32(len(head)))
	b = append(b, head...)
	for _, r := range what {
		b = append(b, pt.buf[r.Off-pt.start:r.End-pt.start]...)
	}
	_, err = s.putIf(ctx, name, b, condition{})
	return storeError(err, "keep part %d", pt.n+1)
}

// fetchHeld reads into buf what stands below parts/ of a part, the pieces in their
// order, and returns what it is.
func (s *Store) fetchHeld(ctx context.Context, id string, pt *part, h held, buf []byte) (known runs, err error) {
	for i := range h.pieces() {
		piece, err := s.fetchPiece(ctx, id, pt, s.heldName(id, pt.n, h.Generation, i), buf)
		if err != nil {
			return nil, err
		}
		for _, r := range piece {
			known = known.add(r.Off, r.End)
		}
	}
	return known, nil
}

// fetchPiece reads into buf what keepHeld has put, and returns what it is.
func (s *Store) fetchPiece(ctx context.Context, id string, pt *part, name string, buf []byte) (runs, error) {
	out, err := s.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: &name})
	if err != nil {
		return nil, storeError(err, "read part %d back", pt.n+1)
	}
	defer out.Body.Close()
	var n [4]byte
	if _, err := io.ReadFull(out.Body, n[:]); err != nil {
		return nil, storeError(err, "read part %d back", pt.n+1)
	}
	damaged := errcode.New(errcode.StoreUnavailable, "part %d of upload %s is damaged", pt.n+1, id)
	size := binary.BigEndian.Uint32(n[:])
	if size > maxSmall {
		return nil, damaged
	}
	head := make([]byte, size)
	if _, err := io.ReadFull(out.Body, head); err != nil {
		return nil, storeError(err, "read part %d back", pt.n+1)
	}
	var known runs
	if json.Unmarshal(head, &known) != nil {
		return nil, damaged
	}
	for _, r := range known {
		if r.Off < pt.start || r.End > pt.end || r.Off >= r.End {
			return nil, damaged
		}
		if _, err := io.ReadFull(out.Body, buf[r.Off-pt.start:r.End-pt.start]); err != nil {
			return nil, storeError(err, "read part %d back", pt.n+1)
		}
	}
	return known, nil
}

// dropHeld removes what stands below parts/ of parts that were sent. What it cannot
// remove goes with the commit.
func (s *Store) dropHeld(ctx context.Context, id string, spent []held) {
	for _, h := range spent {
		for i := range h.pieces() {
			if s.remove(ctx, s.heldName(id, h.Part, h.Generation, i)) != nil {
				return
			}
		}
	}
}

// clearParts removes what stands below parts/ for an upload.
func (s *Store) clearParts(ctx context.Context, id string) error {
	return s.list(ctx, s.o.Prefix+partsName+id+"/", func(o types.Object) error {
		return s.remove(ctx, aws.ToString(o.Key))
	})
}

// list calls fn with each object below a prefix, in the order of names.
func (s *Store) list(ctx context.Context, prefix string, fn func(types.Object) error) error {
	p := s3.NewListObjectsV2Paginator(s.c, &s3.ListObjectsV2Input{Bucket: &s.o.Bucket, Prefix: &prefix})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if err := fn(o); err != nil {
				return err
			}
		}
	}
	return nil
}
