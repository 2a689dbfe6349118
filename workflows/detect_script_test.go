package workflows_test

import (
	"context"

	"ingest/activities/activitytest"
	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
)

func scriptDetect(fn func(context.Context) error, plain *activitytest.Steps) func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
	return func(ctx context.Context, p contract.DetectParams) (contract.Detected, detect.Report, error) {
		if err := fn(ctx); err != nil {
			return contract.Detected{}, detect.Report{}, err
		}
		return plain.Detect(ctx, p)
	}
}

func scriptValidate(fn func(context.Context) error, plain *activitytest.Steps) func(context.Context, contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
	return func(ctx context.Context, p contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
		if err := fn(ctx); err != nil {
			return contract.Validated{}, nil, err
		}
		return plain.Validate(ctx, p)
	}
}
