package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// ImportImage brings one source into the catalogue and returns the images made
// of it. It may be started by anyone, under any workflow id, with or without
// ids in the request; a task that has ended already is answered with its end.
func ImportImage(ctx workflow.Context, req contract.ImportRequest) (contract.ImportResult, error) {
	return bring(ctx, newState(ctx, req), contract.ImportRequest.Check)
}

// bring runs an import, or a clone, which is one whose bytes stay as they are: that of the
// catalogue's request, once it is known. check judges the request that the workflow has.
func bring(ctx workflow.Context, st *state, check func(contract.ImportRequest) error) (contract.ImportResult, error) {
	if err := st.serve(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	if err := check(st.req); err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	reg, err := register(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	if reg.Finished {
		return finished(ctx, st, reg)
	}
	st.req.Target.AsIs = st.req.Method == contract.MethodClone
	result, err := produce(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	tidy(ctx, st)
	return result, nil
}

// register makes the catalogue's rows, or finds them. It runs to its end
// whatever happens: rows that nobody knows of could not be ended.
func register(ctx workflow.Context, st *state) (contract.RegisterResult, error) {
	var reg contract.RegisterResult
	params := contract.RegisterParams{Request: st.req, WorkflowID: st.workflowID}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	if err := record(keep, contract.RegisterActivity, params, &reg); err != nil {
		return reg, err
	}
	st.accepted(reg.Request, reg.Control)
	if st.req.Target.Store == "" && len(st.req.Stores) > 0 {
		st.req.Target.Store = st.req.Stores[0]
	}
	return reg, ctx.Err()
}

// finished answers with the end that the task has found before.
func finished(ctx workflow.Context, st *state, reg contract.RegisterResult) (contract.ImportResult, error) {
	if reg.Error != nil {
		st.finish(ctx, statusFailure, contract.StageDone)
		return contract.ImportResult{}, failure(*reg.Error)
	}
	st.finish(ctx, statusSuccess, contract.StageDone)
	if reg.Result == nil {
		return contract.ImportResult{TaskID: st.req.TaskID}, nil
	}
	return *reg.Result, nil
}

// produce runs everything from fetch to activate.
func produce(ctx workflow.Context, st *state) (contract.ImportResult, error) {
	st.progress.Status = statusProcessing
	st.enter(ctx, contract.StageFetch)
	if !st.quiet {
		st.publish(ctx)
	}
	if err := store(ctx, st); err != nil {
		return contract.ImportResult{}, err
	}
	return activate(ctx, st)
}

// store brings the bytes into the store: fetch, and then what builds on it,
// until no host is lost in between.
func store(ctx workflow.Context, st *state) error {
	if err := fetch(ctx, st, nil); err != nil {
		return err
	}
	for {
		lost := build(ctx, st)
		if elsewhere(ctx, st, lost) {
			continue
		}
		if !fetchAgain(lost) {
			return lost
		}
		workflow.GetLogger(ctx).Warn("what was fetched is out of reach, fetching again", "round", st.round, "error", lost)
		if err := fetch(ctx, st, lost); err != nil {
			return err
		}
	}
}

// fetch pins the source. lost is why it is fetched again, nil the first time.
func fetch(ctx workflow.Context, st *state, lost error) error {
	var got contract.Fetched
	params := contract.FetchParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, Source: st.req.Source, Project: st.req.Owner, AsIs: st.req.Target.AsIs}
	if st.round == 0 {
		params.Ahead = &contract.Ahead{Target: st.req.Target, Round: 1}
	}
	work := withTransfer(ctx)
	if queue, ok := st.staged(); ok {
		work = workflow.WithTaskQueue(work, queue)
	}
	if err := run(work, st, contract.StageFetch, contract.FetchActivity, params, &got); err != nil {
		st.placeOf(err)
		st.placeAt(st.parked)
		return err
	}
	st.parked = ""
	if st.round == 0 {
		st.nextRound(got)
		return nil
	}
	if hostSilent(lost) && st.fetched.Same(got) {
		return nil
	}
	if st.round == maxRounds+st.moved {
		st.places = append(st.places, place{queue: got.Queue})
		return lost
	}
	st.nextRound(got)
	return nil
}

// build runs those stages of a round that have not been run yet.
func build(ctx workflow.Context, st *state) error {
	if st.detected == nil {
		var got contract.Detected
		params := contract.DetectParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, Fetched: *st.fetched, Format: st.req.Source.Format, AsIs: st.req.Target.AsIs}
		if err := run(withLook(ctx, st.fetched.Queue), st, contract.StageDetect, contract.DetectActivity, params, &got); err != nil {
			return err
		}
		st.detected, st.disks = &got, make([]*disk, got.Count())
		for i := range st.disks {
			st.disks[i] = &disk{}
		}
	}
	// All are validated before the first is converted: one that is bad costs
	// little, wherever it stands.
	for i := range st.disks {
		if err := validate(ctx, st, st.at(i)); err != nil {
			return err
		}
	}
	if st.req.Target.AsIs {
		st.disks = st.disks[:1] // what holds several disks stays one file
	}
	markStores(ctx, st)
	for i := range st.disks {
		if err := keep(ctx, st, st.at(i)); err != nil {
			return err
		}
	}
	err := spread(ctx, st)
	if err == nil {
		st.at(-1)
	}
	return err
}

// validate fixes what is made of a disk.
func validate(ctx workflow.Context, st *state, d *disk) error {
	if d.validated != nil {
		return nil
	}
	var got contract.Validated
	params := contract.ValidateParams{TaskID: st.req.TaskID, ImageID: st.imageID(), Fetched: *st.fetched, Detected: *st.detected,
		Target: st.req.Target, Verify: st.req.Verify, Disk: st.disk}
	if st.req.Several() {
		params.Stores = &st.req.StoresSpec
	}
	if err := run(withPass(ctx, st.fetched.Queue), st, contract.StageValidate, contract.ValidateActivity, params, &got); err != nil {
		return err
	}
	d.validated = &got
	st.stores = got.Stores
	return nil
}

// keep brings one disk into the store.
func keep(ctx workflow.Context, st *state, d *disk) error {
	if d.converted == nil {
		if err := convert(ctx, st, d); err != nil {
			return err
		}
	}
	if d.checksummed == nil {
		if err := checksum(ctx, st, d); err != nil {
			return err
		}
	}
	if d.stored != nil {
		return nil
	}
	var got contract.Stored
	params := contract.StoreParams{TaskID: st.req.TaskID, ImageID: st.imageID(), Key: st.key(), Converted: *d.converted, Checksummed: *d.checksummed, Disk: st.disk}
	if err := run(withCommit(ctx, st.fetched.Queue), st, contract.StageStore, contract.StoreActivity, params, &got); err != nil {
		return err
	}
	d.stored = &got
	return nil
}

// convert writes the target's bytes. From here on there is an upload to abort.
func convert(ctx workflow.Context, st *state, d *disk) error {
	st.uploadTo(d.validated.Target.Store)
	var got contract.Converted
	params := contract.ConvertParams{TaskID: st.req.TaskID, ImageID: st.imageID(), Fetched: *st.fetched,
		Detected: *st.detected, Target: d.validated.Target, Key: st.key(), Disk: st.disk, Verify: d.validated.Verify}
	st.enter(ctx, contract.StageConvert)
	if st.round == 1 && st.disk <= 1 {
		if st.due = st.quiet; !st.due {
			st.publish(ctx)
		}
	}
	if err := run(withPass(ctx, st.fetched.Queue), st, contract.StageConvert, contract.ConvertActivity, params, &got); err != nil {
		return err
	}
	st.uploadTo(got.Store)
	d.converted = &got
	return nil
}

// checksum reads the upload back. Bytes that differ are read once more: a
// second look tells a bad read from bad bytes.
func checksum(ctx workflow.Context, st *state, d *disk) error {
	var got contract.Checksummed
	params := contract.ChecksumParams{TaskID: st.req.TaskID, ImageID: st.imageID(), Target: d.validated.Target,
		Converted: *d.converted, Verify: d.validated.Verify, Disk: st.disk}
	if st.req.Target.AsIs {
		params.Digest = st.fetched.SourceDigest
	}
	work := withPass(ctx, st.fetched.Queue)
	err := run(work, st, contract.StageChecksum, contract.ChecksumActivity, params, &got)
	if verifyMismatch(err) {
		err = run(work, st, contract.StageChecksum, contract.ChecksumActivity, params, &got)
	}
	if err != nil {
		return err
	}
	d.checksummed = &got
	return nil
}

// activate makes all images active at once. Once it is asked for, it is not
// cancelled: undoing could remove the bytes of an image that is active.
func activate(ctx workflow.Context, st *state) (contract.ImportResult, error) {
	if err := st.gate(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return contract.ImportResult{}, err
	}
	var result contract.ImportResult
	first := st.disks[0]
	params := contract.ActivateParams{Request: st.req, Fetched: *st.fetched, Detected: *st.detected, Target: first.validated.Target,
		Converted: *first.converted, Checksummed: *first.checksummed, Stored: *first.stored, Guest: first.validated.Guest,
		Copies: first.copied(), FailedStores: st.failedStores()}
	for i, d := range st.disks[1:] {
		params.Further = append(params.Further, contract.DiskDone{
			Disk: i + 2, ImageID: contract.DiskImageID(st.req.TaskID, st.req.ImageID, i+2),
			Target: d.validated.Target, Converted: *d.converted, Checksummed: *d.checksummed, Stored: *d.stored, Guest: d.validated.Guest, Copies: d.copied(),
		})
	}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	err := run(withTruth(keep), st, contract.StageActivate, contract.ActivateActivity, params, &result)
	return result, err
}

// run runs a stage: it says so in the catalogue, in passing, unless that is left to the
// stage's activity, and waits for that. While the task is paused, it does neither; what writes to the
// catalogue, and what makes stored bytes visible, is not interrupted.
func run(ctx workflow.Context, st *state, s contract.Stage, activity string, params, result any) error {
	if s != contract.StageActivate {
		if err := st.gate(ctx); err != nil {
			return err
		}
	}
	st.enter(ctx, s)
	if !st.quiet {
		report(ctx, st, s)
	}
	if s == contract.StageStore || s == contract.StageActivate {
		return workflow.ExecuteActivity(st.ranked(ctx), activity, params).Get(ctx, result)
	}
	return st.work(ctx, activity, params, result)
}

// report says in the catalogue, in passing, which stage the task is at.
func report(ctx workflow.Context, st *state, s contract.Stage) {
	params := contract.ReportParams{TaskID: st.req.TaskID, Stage: s, Disk: st.disk}
	if err := workflow.ExecuteLocalActivity(withRow(ctx), contract.ReportActivity, params).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("stage not reported", "stage", string(s), "error", err)
	}
}

// record writes to the catalogue what it must know: in passing if the database
// answers at once, else for as long as it takes.
func record(ctx workflow.Context, activity string, params, result any) error {
	err := workflow.ExecuteLocalActivity(withRow(ctx), activity, params).Get(ctx, result)
	if err == nil || permanent(err) {
		return err
	}
	return workflow.ExecuteActivity(withTruth(ctx), activity, params).Get(ctx, result)
}
