package wire

import "ingest/internal/contract"

// A Reap answers POST /v1/gc and GET /v1/gc/{id}.
type Reap struct {
	ID     string               `json:"id"`
	Done   bool                 `json:"done"`
	Result *contract.ReapResult `json:"result,omitempty"` // once it is done
}
