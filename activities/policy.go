package activities

import (
	"context"
	"encoding/json"
	"maps"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/policy"
	"ingest/metadata"
)

// policy returns the operator's policy in force, nil if there is none.
func (d Deps) policy() *policy.Policy {
	if d.Policy == nil {
		return nil
	}
	return d.Policy()
}

// judged keeps what the policy says in the task's history, and returns the error
// of the rule that denies. Without a policy it does nothing.
func (d Deps) judged(ctx context.Context, taskID string, rep contract.PolicyReport) error {
	if rep.Digest == "" {
		return nil
	}
	if err := d.Catalogue.AddReport(ctx, taskID, "", contract.PolicyStage, rep); err != nil {
		return err
	}
	if err := rep.Err(); err != nil {
		v, _ := rep.Denied()
		d.Log.Info().Str("task", taskID).Str("rule", v.Rule).Str("at", v.At).Str("code", string(v.Code)).Str("point", rep.Point).Msg("denied by the policy")
		return err
	}
	return nil
}

// soft lists the codes that warn instead of refusing a task's image.
func (d Deps) soft(ctx context.Context, taskID string) ([]errcode.Code, error) {
	p := d.policy()
	if p == nil {
		return nil, nil
	}
	t, err := d.Catalogue.Task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	return policy.ImageCodes(p.Soft(t.Owner)), nil
}

// judgeValidation asks the policy about a disk that has been validated.
func (d Deps) judgeValidation(ctx context.Context, p contract.ValidateParams, out contract.Validated, found []formats.Finding) error {
	rules := d.policy()
	if rules == nil {
		return nil
	}
	t, err := d.Catalogue.Task(ctx, p.TaskID)
	if err != nil {
		return err
	}
	r, err := request(t, contract.ImportRequest{})
	if err != nil {
		return err
	}
	if p.Disk <= 1 {
		early, err := d.detectionFindings(ctx, p.TaskID)
		if err != nil {
			return err
		}
		found = append(early, found...)
	}
	v := policy.Validation{Request: r, Fetched: p.Fetched, Detected: p.Detected, Target: out.Target, Stores: out.Stores, Disk: p.Disk, Facts: facts(out, p)}
	for _, f := range found {
		v.Findings = append(v.Findings, policy.Finding{Code: f.Code, Message: f.Message, Evidence: f.Evidence})
	}
	return d.judged(ctx, p.TaskID, rules.Validation(v))
}

// facts are what was found on a disk, and where nothing was found what its
// container says of it. What the request says is no fact.
func facts(out contract.Validated, p contract.ValidateParams) map[string]string {
	said := p.Detected.Disk(p.Disk).Properties
	if out.Guest == nil {
		return said
	}
	return below(out.Guest.Properties, said)
}

// detectionFindings are those of the last report of detection.
func (d Deps) detectionFindings(ctx context.Context, taskID string) ([]formats.Finding, error) {
	events, err := d.Catalogue.Events(ctx, taskID)
	if err != nil {
		return nil, err
	}
	var rep detect.Report
	for _, e := range events {
		if e.Kind == metadata.EventReport && e.Stage == string(contract.StageDetect) {
			rep = detect.Report{}
			if err := json.Unmarshal(e.Detail, &rep); err != nil {
				return nil, errcode.Wrap(err, errcode.Internal, "read the report of detection of task %s", taskID)
			}
		}
	}
	return rep.Findings, nil
}

// judgeActivation asks the policy once more, by the rules in force at that
// moment. A task that has ended is not asked about again: its images are in use.
func (d Deps) judgeActivation(ctx context.Context, p contract.ActivateParams) error {
	rules := d.policy()
	if rules == nil {
		return nil
	}
	t, err := d.Catalogue.Task(ctx, p.Request.TaskID)
	if err != nil || t.Status.Finished() {
		return err
	}
	return d.judged(ctx, p.Request.TaskID, rules.Activation(p))
}

// judgeCopy asks the policy about the stores that an image is copied to.
func (d Deps) judgeCopy(ctx context.Context, r contract.ImportRequest, targets []string) error {
	rules := d.policy()
	if rules == nil {
		return nil
	}
	return d.judged(ctx, r.TaskID, rules.Copy(r, targets))
}

// below puts a weaker layer of properties below a stronger one.
func below(strong, weak map[string]string) map[string]string {
	out := maps.Clone(weak)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, strong)
	return out
}
