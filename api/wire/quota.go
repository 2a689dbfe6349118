package wire

// A Quota is one limit of a project and how much of it is used.
type Quota struct {
	Name  string `json:"name"`  // Glance's: image_count_total, image_size_total, image_stage_total, image_count_uploading
	Unit  string `json:"unit"`  // "" for a number, "bytes"
	Usage int64  `json:"usage"` // what is promised to running imports included
	Limit int64  `json:"limit"` // -1 if it does not bind
}

// A QuotaList answers GET /v1/quota.
type QuotaList struct {
	Project  string  `json:"project"`
	Quotas   []Quota `json:"quotas"`
	Reserved int64   `json:"reserved_bytes"` // of image_size_total: promised to running imports
}
