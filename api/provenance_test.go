package api

import (
	"context"
	"encoding/json"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/provenance"
	"ingest/metadata"
)

func TestProvenance(t *testing.T) {
	b := newBench(t)
	key, err := provenance.NewKey(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	in := provenance.Import{Done: contract.DiskDone{ImageID: "i", Checksummed: contract.Checksummed{HashAlgo: "sha256", HashValue: "aa"}}}
	for media, r := range map[string]provenance.Recorder{
		"application/vnd.in-toto+json": {}, "application/vnd.in-toto.provenance+dsse": {Key: key},
	} {
		doc, err := r.Record(in)
		if err != nil {
			t.Fatal(err)
		}
		s := b.submit(someImport)
		path := "/v1/images/" + s.ImageID + "/provenance"
		b.do("GET", path, "").want(t, 404, errcode.NotFound)
		ctx := context.Background()
		if err := b.cat.Start(ctx, s.TaskID); err != nil {
			t.Fatal(err)
		}
		if err := b.cat.Activate(ctx, metadata.Activation{TaskID: s.TaskID, Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{
			{ImageID: s.ImageID, DiskFormat: "raw", Key: "k", Provenance: doc}}}); err != nil {
			t.Fatal(err)
		}
		a := b.do("GET", path, "").want(t, 200, "")
		if string(a.body) != string(doc) || a.Header.Get("Content-Type") != media {
			t.Errorf("%s, %s", a.Header.Get("Content-Type"), a.body)
		}
		if a := b.do("HEAD", path, "").want(t, 200, ""); len(a.body) != 0 || a.ContentLength != int64(len(doc)) {
			t.Errorf("HEAD: length %d, body %q", a.ContentLength, a.body)
		}
		// Who does not see the image does not see the record.
		b.do("GET", path, "", "X-Project-Id", "stranger").want(t, 404, errcode.NotFound)
		if _, err := b.cat.DeleteImage(ctx, s.ImageID); err != nil {
			t.Fatal(err)
		}
		b.do("GET", path, "").want(t, 404, errcode.NotFound)
	}
	b.do("GET", "/v1/images/nothing/provenance", "").want(t, 404, errcode.NotFound)
}
