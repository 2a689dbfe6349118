package pipeline

import (
	"context"

	"ingest/detect"
	"ingest/internal/contract"
	"ingest/stores"
)

// A Conversion says what ConvertTo made.
type Conversion struct {
	Source        detect.Report       `json:"source"`
	Target        contract.TargetSpec `json:"target"`
	FileSize      int64               `json:"file_size"`    // bytes
	VirtualSize   int64               `json:"virtual_size"` // bytes
	ContentDigest string              `json:"content_digest"`
	Verified      bool                `json:"verified"`
	HashAlgo      string              `json:"hash_algo,omitempty"` // of the file, if it was read back
	HashValue     string              `json:"hash_value,omitempty"`
}

// A ConvertRequest says what ConvertTo shall do.
type ConvertRequest struct {
	URLs    []string // the source; several only for a target that takes several disks
	Format  string   // declared, "" for detect
	Members []Member // the source's other files
	Target  contract.TargetSpec
	Verify  bool // read the result back
	// Begin begins the upload. It is called once the sources are found good.
	Begin func() (stores.Upload, error)
}

// ConvertTo converts the disks in the sources into an upload, seals and commits
// it. stage is told what begins: "check", "convert", "verify".
func (p *Pipeline) ConvertTo(ctx context.Context, c ConvertRequest, stage func(string), o Observe) (Conversion, error) {
	var out Conversion
	stage("check")
	disk, rep, err := p.OpenURL(ctx, c.URLs[0], c.Format, c.Members...)
	out.Source = rep
	if err != nil {
		return out, err
	}
	defer disk.Close()
	if _, err := CheckDisk(ctx, disk.Disk); err != nil {
		return out, err
	}
	if out.Target, err = p.Target(rep.DiskFormat, c.Target); err != nil {
		return out, err
	}
	up, err := c.Begin()
	if err != nil {
		return out, err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after a cancel.
	defer up.Abort(context.WithoutCancel(ctx))
	stage("convert")
	w, err := p.Write(ctx, disk.Disk, out.Target, up, o)
	if err != nil {
		return out, err
	}
	out.FileSize, out.VirtualSize, out.ContentDigest = w.Size, w.VirtualSize, w.ContentDigest
	if err := disk.Unchanged(ctx); err != nil {
		return out, err
	}
	if err := up.Seal(ctx, w.Size); err != nil {
		return out, err
	}
	want := stores.Digest{Size: w.Size}
	if c.Verify {
		stage("verify")
		sums, err := p.ReadBack(ctx, up, out.Target, w, contract.VerifyFull, nil, o)
		if err != nil {
			return out, err
		}
		out.Verified, out.HashAlgo, out.HashValue = true, sums.HashAlgo, sums.HashValue
		want.Algo, want.Hex = sums.HashAlgo, sums.HashValue
	}
	return out, up.Commit(ctx, want)
}
