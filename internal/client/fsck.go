package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// maxCheckLine is how long a line of a check may be, bytes.
const maxCheckLine = 1 << 20

// Check has the server compare the catalogue with what is there. tell is called for
// each line but the last one, whose figures are returned.
func (c *Client) Check(ctx context.Context, p contract.CheckParams, tell func(contract.CheckLine)) (contract.CheckFigures, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return contract.CheckFigures{}, err
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/fsck", nil, bytes.NewReader(body))
	if err != nil {
		return contract.CheckFigures{}, err
	}
	defer resp.Body.Close()
	limited := &io.LimitedReader{R: resp.Body}
	dec := json.NewDecoder(limited)
	for {
		limited.N = maxCheckLine
		var line contract.CheckLine
		if err := dec.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return contract.CheckFigures{}, ctx.Err()
			}
			return contract.CheckFigures{}, errcode.Wrap(err, errcode.StoreUnavailable, "the answer broke off before the check had ended: run it again")
		}
		switch {
		case line.End != nil:
			return *line.End, nil
		case line.Error != nil:
			return contract.CheckFigures{}, again(*line.Error)
		}
		tell(line)
	}
}

// again is the error that a value was made of.
func again(v contract.ErrorValue) error {
	err := errcode.New(v.Code, "%s", v.Message)
	if v.Evidence != nil {
		err = err.With(*v.Evidence)
	}
	return err
}
