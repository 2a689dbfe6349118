package api

import (
	"maps"
	"time"

	"ingest/internal/contract"
	"ingest/internal/policy"
	"ingest/internal/provenance"
	"ingest/metadata"
)

// uploadRun is what stands for a workflow in the records of uploads, which have none.
const uploadRun = "upload"

// activation is what the catalogue shall record of an upload: what is known of an import's
// image, as far as it can be known of bytes that are kept as they came.
func (a *api) activation(k *keptUpload, img metadata.Image, u contract.Upload, req contract.ImportRequest, out contract.Uploaded) (metadata.ImageActivation, error) {
	given, above := a.policyProperties(img.Owner)
	own := map[string]string{}
	maps.Copy(own, img.Properties)
	maps.Copy(own, above)
	var inside map[string]string
	if out.Guest != nil {
		inside = out.Guest.Properties
	}
	act := metadata.ImageActivation{
		ImageID: img.ID, Size: out.Size, VirtualSize: out.VirtualSize, Checksum: out.Checksum,
		HashAlgo: out.HashAlgo, HashValue: out.HashValue, ContentDigest: out.ContentDigest, Store: out.Store, Key: u.Key(),
		Properties: contract.MergeProperties(own, given, inside), Override: above,
	}
	if out.Size == 0 {
		return act, nil // there is nothing that could come from anywhere
	}
	var err error
	act.Provenance, err = a.Provenance.Record(uploadRecord(k.began, img, u, req, out))
	return act, err
}

// policyProperties are those that the operator's policy gives to images of a project.
func (a *api) policyProperties(owner string) (given, above map[string]string) {
	var rules *policy.Policy
	if a.Policy != nil {
		rules = a.Policy()
	}
	return rules.Properties(owner)
}

// uploadRecord says of an upload what a record says of an import: it was fetched from its
// client, and stored as what it was.
func uploadRecord(began time.Time, img metadata.Image, u contract.Upload, req contract.ImportRequest, out contract.Uploaded) provenance.Import {
	req.TaskID = u.ID
	in := provenance.Import{
		Request: req, Detected: out.Detected, WorkflowID: uploadRun + "/" + img.Owner, RunID: u.ID,
		Fetched: contract.Fetched{URL: req.Source.URL, Driver: uploadRun, Size: out.Size, SourceDigest: out.HashAlgo + ":" + out.HashValue},
		Done: contract.DiskDone{
			Disk: 1, ImageID: img.ID,
			Target:      contract.TargetSpec{Format: img.DiskFormat, DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat, Store: out.Store},
			Converted:   contract.Converted{Size: out.Size, VirtualSize: out.VirtualSize, SourceSize: out.VirtualSize, ContentDigest: out.ContentDigest},
			Checksummed: contract.Checksummed{HashAlgo: out.HashAlgo, HashValue: out.HashValue, Checksum: out.Checksum},
			Stored:      contract.Stored{Store: out.Store, Key: u.Key()},
		},
		Started: began, Finished: time.Now().UTC().Truncate(time.Microsecond),
	}
	for _, r := range out.Reports {
		in.Reports = append(in.Reports, provenance.Report{Stage: r.Stage, Detail: r.Detail})
	}
	return in
}
