package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/exports"
	"ingest/internal/errcode"
	"ingest/internal/pause"
	"ingest/internal/readahead"
)

const (
	smallPart = 8 << 20
	maxParts  = 10_000
	maxObject = maxParts * (5 << 30) // the most that parts of the largest size make
	// parallel parts are sent at once, of which the larger ones are read a second time
	// while they are sent in place of being kept in memory.
	parallel = 3
	maxKept  = 16 << 20
	// arrival is how long parts that were begun may take when all is cut off.
	arrival = 5 * time.Second
)

// castagnoli is the table of CRC-32C, which processors compute.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// An object is a destination.
type object struct {
	Place
	smallest int64
	task     string
	force    bool
	memory   memory
	mine     bool  // the task has made the object already
	size     int64 // of the object, bytes
}

var (
	_ exports.Receiver = (*object)(nil)
	_ exports.Readable = (*object)(nil)
)

// Shown is the object's URL.
func (o *object) Shown() string { return "s3://" + o.Bucket + "/" + o.Key }

// Send sends the parts that are not there yet, and makes the object of them.
func (o *object) Send(ctx context.Context, s exports.Sending) error {
	if s.Size() > maxObject {
		return errcode.New(errcode.ObjectTooLarge, "an object has up to %d bytes, not %d", int64(maxObject), s.Size())
	}
	if o.mine && o.size == s.Size() {
		return o.readOnly(ctx, s)
	}
	o.mine, o.size = false, s.Size()
	if s.Size() <= o.smallest {
		return o.put(ctx, s)
	}
	there, err := o.begin(ctx, s)
	if err != nil {
		return err
	}
	parts, err := o.parts(ctx, s, there)
	if err != nil {
		return err
	}
	return o.complete(ctx, parts)
}

// readOnly takes the digests of what an earlier attempt has sent.
func (o *object) readOnly(ctx context.Context, s exports.Sending) error {
	_, err := io.Copy(io.MultiWriter(s.Tap, told{ctx, s.Observe, new(int64)}), io.NewSectionReader(s, 0, s.Size()))
	return err
}

// told tells how much was written.
type told struct {
	ctx     context.Context
	observe func(int64)
	done    *int64
}

func (t told) Write(p []byte) (int, error) {
	*t.done += int64(len(p))
	t.observe(*t.done)
	return len(p), t.ctx.Err()
}

// put sends what is one part.
func (o *object) put(ctx context.Context, s exports.Sending) error {
	body := make([]byte, s.Size())
	if _, err := io.ReadFull(io.NewSectionReader(s, 0, s.Size()), body); err != nil {
		return err
	}
	s.Tap.Write(body)
	in := &s3.PutObjectInput{Bucket: &o.Bucket, Key: &o.Key, Body: bytes.NewReader(body), ContentLength: aws.Int64(s.Size()),
		ContentType: aws.String("application/octet-stream"), Metadata: map[string]string{taskKey: o.task}}
	if !o.force {
		in.IfNoneMatch = aws.String("*")
	}
	_, err := o.Client.PutObject(ctx, in)
	if hasCode(err, "NotImplemented") { // it was looked for by Open
		in.IfNoneMatch, in.Body = nil, bytes.NewReader(body)
		_, err = o.Client.PutObject(ctx, in)
	}
	if err = o.settle(ctx, err); err == nil {
		s.Observe(s.Size())
	}
	return err
}

// settle says what came of the last step, which may have been done though its answer was
// lost: what the service says of its repetition is no news then.
func (o *object) settle(ctx context.Context, err error) error {
	taken := hasCode(err, "PreconditionFailed")
	if taken || isMissing(err) {
		head, unknown := o.Client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.Bucket, Key: &o.Key})
		switch {
		case unknown == nil && head.Metadata[taskKey] == o.task && aws.ToInt64(head.ContentLength) == o.size:
			err = nil
		case unknown == nil && taken:
			return o.exist()
		case unknown != nil && !isMissing(unknown):
			err = unknown
		}
	}
	o.mine = err == nil
	return serviceError(err, "write", o.Shown())
}

// begin takes the multipart upload of an earlier attempt up, or begins one. It returns
// the parts that are there, by number.
func (o *object) begin(ctx context.Context, s exports.Sending) (map[int32]types.Part, error) {
	part := max(o.smallest, (s.Size()/maxParts+1<<20)&^(1<<20-1))
	if o.memory.UploadID != "" && o.memory.Part == part {
		there, err := o.list(ctx)
		if err == nil || !isMissing(err) {
			return there, serviceError(err, "list the parts of", o.Shown())
		}
	} else if err := o.drop(ctx); err != nil {
		return nil, err
	}
	out, err := o.Client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &o.Bucket, Key: &o.Key,
		ContentType: aws.String("application/octet-stream"), Metadata: map[string]string{taskKey: o.task}, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
	if err != nil {
		return nil, serviceError(err, "write", o.Shown())
	}
	o.memory = memory{UploadID: aws.ToString(out.UploadId), Part: part}
	raw, err := json.Marshal(o.memory)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.Internal, "write a note")
	}
	return nil, s.Remember(raw)
}

func (o *object) list(ctx context.Context) (map[int32]types.Part, error) {
	there := map[int32]types.Part{}
	pages := s3.NewListPartsPaginator(o.Client, &s3.ListPartsInput{Bucket: &o.Bucket, Key: &o.Key, UploadId: &o.memory.UploadID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parts {
			there[aws.ToInt32(p.PartNumber)] = p
		}
	}
	return there, nil
}

// A part is one that has to be there.
type part struct {
	number int32
	crc    string
	size   int64
	body   io.ReadSeeker
}

// parts reads the content in order, and sends beside that what is not there. What a
// sender fails with ends the reading.
func (o *object) parts(parent context.Context, s exports.Sending, there map[int32]types.Part) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	todo := make(chan part)
	var senders sync.WaitGroup
	var mu sync.Mutex
	var out []types.CompletedPart
	done := int64(0)
	add := func(p part, etag *string) {
		mu.Lock()
		defer mu.Unlock()
		out = append(out, types.CompletedPart{PartNumber: aws.Int32(p.number), ETag: etag, ChecksumCRC32C: aws.String(p.crc)})
		done += p.size
		s.Observe(done)
	}
	sending, end := arriving(ctx)
	defer end()
	for range parallel {
		senders.Go(func() {
			for p := range todo {
				if ctx.Err() != nil {
					continue
				}
				etag, err := o.sendPart(sending, p)
				if err != nil {
					cancel(err)
					continue // the reader ends, and what it has given until then is taken
				}
				add(p, etag)
			}
		})
	}
	err := o.read(ctx, s, func(p part) error {
		if have, ok := there[p.number]; ok && aws.ToInt64(have.Size) == p.size && aws.ToString(have.ChecksumCRC32C) == p.crc {
			add(p, have.ETag)
			return nil
		}
		select {
		case todo <- p:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(todo)
	senders.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	slices.SortFunc(out, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	return out, err
}

// arriving returns a context that goes on for a moment when ctx ends: parts that are on
// their way arrive, need not be sent again, and come behind no Abort.
func arriving(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(arrival, cancel) })
	return out, cancel
}

// read reads the content part by part.
func (o *object) read(ctx context.Context, s exports.Sending, each func(part) error) error {
	for off, number := int64(0), int32(1); off < s.Size(); number++ {
		p := part{number: number, size: min(o.memory.Part, s.Size()-off)}
		section := io.NewSectionReader(s, off, p.size)
		sum := crc32.New(castagnoli())
		into := io.MultiWriter(s.Tap, sum)
		if p.body = section; p.size <= maxKept {
			kept := make([]byte, p.size)
			if _, err := io.ReadFull(section, kept); err != nil {
				return err
			}
			into.Write(kept)
			p.body = bytes.NewReader(kept)
		} else if _, err := io.CopyBuffer(struct{ io.Writer }{into}, exports.Until(ctx, section), make([]byte, 1<<20)); err != nil {
			return err
		}
		p.crc = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
		if err := each(p); err != nil {
			return err
		}
		off += p.size
	}
	return nil
}

func (o *object) sendPart(ctx context.Context, p part) (*string, error) {
	if _, err := p.body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	out, err := o.Client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &o.Bucket, Key: &o.Key, UploadId: &o.memory.UploadID,
		PartNumber: aws.Int32(p.number), Body: p.body, ContentLength: aws.Int64(p.size), ChecksumCRC32C: aws.String(p.crc)})
	if err != nil {
		return nil, serviceError(err, "write part "+strconv.Itoa(int(p.number))+" of", o.Shown())
	}
	return out.ETag, nil
}

// complete makes the object of its parts.
func (o *object) complete(ctx context.Context, parts []types.CompletedPart) error {
	in := &s3.CompleteMultipartUploadInput{Bucket: &o.Bucket, Key: &o.Key, UploadId: &o.memory.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
	if !o.force {
		in.IfNoneMatch = aws.String("*")
	}
	_, err := o.Client.CompleteMultipartUpload(ctx, in)
	if hasCode(err, "NotImplemented") {
		in.IfNoneMatch = nil
		_, err = o.Client.CompleteMultipartUpload(ctx, in)
	}
	return o.settle(ctx, err)
}

// ReadBack reads what was sent.
func (o *object) ReadBack(ctx context.Context) (io.ReaderAt, error) {
	fetch := func(ctx context.Context, p []byte, off int64) error {
		out, err := o.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key,
			Range: aws.String("bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+int64(len(p))-1, 10))})
		if err != nil {
			return serviceError(err, "read", o.Shown())
		}
		defer out.Body.Close()
		if _, err := io.ReadFull(out.Body, p); err != nil {
			return errcode.Wrap(err, errcode.DestinationUnreachable, "read %s", errcode.Shown(o.Shown()))
		}
		return nil
	}
	return readahead.New(ctx, fetch, o.size, readahead.Options{Chunk: 2 << 20, Memory: 24 << 20, Ahead: 8}), nil
}

// Remove deletes the object.
func (o *object) Remove(ctx context.Context) error {
	_, err := o.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: &o.Key})
	return serviceError(err, "delete", o.Shown())
}

// Abort throws the parts away.
func (o *object) Abort(ctx context.Context) error { return o.drop(ctx) }

// drop aborts the upload until it holds nothing: a part that was on its way when its
// request was cut off can arrive behind the first time (Amazon S3 API Reference,
// AbortMultipartUpload).
func (o *object) drop(ctx context.Context) error {
	if o.memory.UploadID == "" {
		return nil
	}
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		_, err := o.Client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &o.Bucket, Key: &o.Key, UploadId: &o.memory.UploadID})
		if err != nil && !isMissing(err) {
			return serviceError(err, "give up", o.Shown())
		}
		left, err := o.list(ctx)
		// Who may not list what is left has aborted all the same.
		if err != nil && !isMissing(err) && !hasStatus(err, http.StatusForbidden) {
			return serviceError(err, "list the parts of", o.Shown())
		}
		if len(left) == 0 || wait > time.Second { // what is left then is the bucket's rules' to remove
			return nil
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
}

// Close does nothing.
func (o *object) Close() error { return nil }
