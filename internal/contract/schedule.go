package contract

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ingest/internal/errcode"
)

// Names that Temporal knows; see those of package contract.
const (
	ReimportWorkflow = "Reimport"

	BeginRunActivity  = "BeginRun"
	LookActivity      = "LookAtSource"
	SwitchActivity    = "SwitchVersion"
	EndRunActivity    = "EndRun"
	PruneActivity     = "PruneVersions"
	ImportEndActivity = "ImportEnd"
)

// MethodReimport is the method of the request of a run's task: see ImportRequest.Method.
const MethodReimport = "reimport"

// Kinds of comparison, see ScheduleSpec.Check.
const (
	CheckAuto         = "auto"
	CheckChecksumFile = "checksum_file"
	CheckVersion      = "version"
	CheckETag         = "etag"
	CheckLastModified = "last_modified"
)

// Orders of the files that a pattern matches, see ScheduleSpec.Order.
const (
	OrderVersion      = "version"
	OrderLastModified = "last_modified"
)

// Kinds of trust in a source, see ScheduleSpec.Trust.
const (
	TrustNone      = "none"
	TrustDigest    = "digest"
	TrustSignature = "signature"
)

// What becomes of the image that was current, see ScheduleSpec.Old.
const (
	OldHide       = "hide"
	OldDeactivate = "deactivate"
)

// What happens when a run is due while another one is under way, see Timing.Overlap.
const (
	OverlapSkip        = "skip"
	OverlapBufferOne   = "buffer_one"
	OverlapBufferAll   = "buffer_all"
	OverlapCancelOther = "cancel_other"
)

// Bounds and defaults of schedules.
const (
	// LeastInterval keeps a schedule from being a way to wear a server out.
	LeastInterval = time.Minute
	// MaxInterval is longer than any rotation of images.
	MaxInterval = 366 * 24 * time.Hour
	// DefaultCatchup is how late a run may begin that was due while no server ran.
	DefaultCatchup = time.Hour
	// DefaultKeep is how many versions are kept behind the current one, and MaxKeep the
	// most that may be.
	DefaultKeep = 2
	MaxKeep     = 100
	// MaxCrons is how many cron expressions one schedule may have.
	MaxCrons = 20
	// MaxScheduleBytes bounds a schedule, as JSON: it travels with each of its runs.
	MaxScheduleBytes = 64 << 10
	// MaxBackfill is how many runs one backfill may ask for.
	MaxBackfill = 100
)

// ScheduleSpec is what a schedule is to do, and when. It is the body of POST /v1/schedules.
type ScheduleSpec struct {
	Name   string `json:"name"`
	Timing Timing `json:"timing"`
	// Import is the import of each new version. Its source's URL may end in a pattern, in
	// which * stands for any characters of a file's name: the newest that matches is meant.
	Import ImportRequest `json:"import"`
	// Trust says by what the bytes are known to be the publisher's: TrustDigest by a
	// checksum file, TrustSignature by a signature, TrustNone by nothing. It must be chosen.
	Trust string `json:"trust"`
	// Check says by what a new version is told from the last one; "" means CheckAuto, the
	// best that the source has.
	Check string `json:"check,omitempty"`
	// Order says which of the files that a pattern matches is the newest; "" means
	// OrderVersion, by the numbers in their names.
	Order string `json:"order,omitempty"`
	// Old says what becomes of the image that was current; "" means OldHide.
	Old string `json:"old,omitempty"`
	// Keep is how many versions are kept behind the current one; nil means DefaultKeep.
	Keep *int `json:"keep,omitempty"`
}

// Timing says when a schedule runs. It needs a cron expression or an interval.
type Timing struct {
	// Cron are expressions of five fields: minute, hour, day of the month, month, day of
	// the week; or @hourly, @daily, @weekly, @monthly, @yearly.
	Cron []string `json:"cron,omitempty"`
	// EverySeconds is an interval, counted from the Unix epoch and OffsetSeconds later.
	EverySeconds  int64 `json:"every_seconds,omitempty"`
	OffsetSeconds int64 `json:"offset_seconds,omitempty"`
	// TimeZone is that of the cron expressions, such as Europe/Berlin; "" means UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// JitterSeconds delays each run by a time of its own, up to so many seconds.
	JitterSeconds int64 `json:"jitter_seconds,omitempty"`
	// Overlap says what happens when a run is due while another one is under way; "" means
	// OverlapSkip.
	Overlap string `json:"overlap,omitempty"`
	// CatchupSeconds is how late a run may begin that was due while no server ran; 0 means
	// DefaultCatchup.
	CatchupSeconds int64 `json:"catchup_seconds,omitempty"`
}

// Filled returns the spec with its defaults.
func (s ScheduleSpec) Filled() ScheduleSpec {
	set := func(field *string, def string) {
		if *field == "" {
			*field = def
		}
	}
	set(&s.Check, CheckAuto)
	set(&s.Old, OldHide)
	set(&s.Timing.Overlap, OverlapSkip)
	if s.Pattern() {
		set(&s.Order, OrderVersion)
	}
	if s.Timing.EverySeconds == 0 {
		set(&s.Timing.TimeZone, "UTC")
	}
	if s.Keep == nil {
		n := DefaultKeep
		s.Keep = &n
	}
	if s.Timing.CatchupSeconds == 0 {
		s.Timing.CatchupSeconds = int64(DefaultCatchup / time.Second)
	}
	src := &s.Import.Source
	if s.Trust == TrustDigest || s.Check == CheckChecksumFile {
		set(&src.ChecksumFile, "auto")
	}
	if s.Trust == TrustSignature && src.Keyring == "" {
		set(&src.Signature, "auto")
	}
	return s
}

// Pattern reports whether the source's URL ends in a pattern.
func (s ScheduleSpec) Pattern() bool { return strings.Contains(lastElement(s.Import.Source.URL), "*") }

// lastElement is the last one of a URL's path.
func lastElement(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url[strings.LastIndexByte(url, '/')+1:]
}

// Deactivates reports whether the image that was current is deactivated.
func (s ScheduleSpec) Deactivates() bool { return s.Old == OldDeactivate }

// CheckSpec returns errcode.BadRequest for a spec that cannot be one, naming the field. What
// an import may be is left to ImportRequest.Check.
func (s ScheduleSpec) CheckSpec() error {
	src := s.Import.Source
	raw, err := json.Marshal(s)
	switch {
	case err != nil || len(raw) > MaxScheduleBytes:
		return badField("schedule", "has more than 64 KiB")
	case strings.TrimSpace(s.Name) == "" || len(s.Name) > 255:
		return badField("name", "is missing, or longer than 255 bytes")
	case s.Import.Image.Name == "":
		return badField("import.image.name", "is missing: it is what points at the newest version")
	case s.Trust == "":
		return badField("trust", "must be chosen: digest, signature, or none")
	case !slices.Contains([]string{TrustNone, TrustDigest, TrustSignature}, s.Trust):
		return badField("trust", "is none of digest, signature, none")
	case !oneOrEmpty(s.Check, CheckAuto, CheckChecksumFile, CheckVersion, CheckETag, CheckLastModified):
		return badField("check", "is none of auto, checksum_file, version, etag, last_modified")
	case !oneOrEmpty(s.Order, OrderVersion, OrderLastModified):
		return badField("order", "is neither version nor last_modified")
	case s.Order != "" && !s.Pattern():
		return badField("order", "is for sources whose URL ends in a pattern")
	case !oneOrEmpty(s.Old, OldHide, OldDeactivate):
		return badField("old", "is neither hide nor deactivate")
	case s.Keep != nil && (*s.Keep < 0 || *s.Keep > MaxKeep):
		return badField("keep", "is not between 0 and 100")
	case src.Checksum != "":
		return badField("import.source.checksum", "is that of one version: name a checksum_file")
	case s.Trust == TrustNone && (src.Signature != "" || src.Keyring != ""):
		return badField("trust", "is none, and a signature is asked for: choose signature")
	case s.Import.TaskID != "" || s.Import.ImageID != "" || s.Import.IdempotencyKey != "":
		return badField("import", "names a task, an image or a key, of which each run has its own")
	case s.Pattern() && len(src.Members)+len(src.Mirrors) > 0:
		return badField("import.source", "has members or mirrors, which a pattern cannot have")
	case strings.Contains(strings.TrimSuffix(withoutQuery(src.URL), lastElement(src.URL)), "*"):
		return badField("import.source.url", "has a * before its last element: only a file's name can be a pattern; write %2A for the character")
	}
	return s.Timing.check()
}

func withoutQuery(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url
}

func oneOrEmpty(s string, all ...string) bool { return s == "" || slices.Contains(all, s) }

func (t Timing) check() error {
	every := time.Duration(t.EverySeconds) * time.Second
	switch {
	case len(t.Cron) == 0 && t.EverySeconds == 0:
		return badField("timing", "has neither cron nor every_seconds")
	case len(t.Cron) > 0 && t.EverySeconds != 0:
		return badField("timing", "has both cron and every_seconds")
	case len(t.Cron) > MaxCrons:
		return badField("timing.cron", "has more than 20 expressions")
	case t.EverySeconds != 0 && (t.EverySeconds < 0 || t.EverySeconds > int64(MaxInterval/time.Second) || every < LeastInterval):
		return badField("timing.every_seconds", "is not between a minute and 366 days")
	case t.OffsetSeconds < 0 || t.OffsetSeconds != 0 && t.OffsetSeconds >= t.EverySeconds:
		return badField("timing.offset_seconds", "is not less than every_seconds")
	case t.JitterSeconds < 0 || t.JitterSeconds > 86400:
		return badField("timing.jitter_seconds", "is not between 0 and a day")
	case t.CatchupSeconds < 0 || t.CatchupSeconds != 0 && t.CatchupSeconds < 10 || t.CatchupSeconds > 366*86400:
		return badField("timing.catchup_seconds", "is not between 10 seconds and 366 days")
	case !oneOrEmpty(t.Overlap, OverlapSkip, OverlapBufferOne, OverlapBufferAll, OverlapCancelOther):
		return badField("timing.overlap", "is none of skip, buffer_one, buffer_all, cancel_other")
	case len(t.TimeZone) > 64 || t.TimeZone == "Local":
		return badField("timing.time_zone", "is not the name of a time zone, such as Europe/Berlin")
	}
	if _, err := time.LoadLocation(t.TimeZone); err != nil {
		return errcode.Wrap(err, errcode.BadRequest, "timing.time_zone is not the name of a time zone, such as Europe/Berlin").
			With(errcode.Evidence{Structure: "request", Field: "timing.time_zone", Value: errcode.Shown(t.TimeZone)})
	}
	for _, line := range t.Cron {
		if _, err := ParseCron(line); err != nil {
			return err
		}
	}
	return nil
}

// ScheduleID returns the id under which the workflow service knows a schedule.
func ScheduleID(id string) string { return "ingest-reimport-" + id }

// RunPrefix begins the ids of the workflows of a schedule's runs.
func RunPrefix(owner, scheduleID string) string {
	if owner == "" {
		owner = "default"
	}
	return "reimport/" + owner + "/" + scheduleID
}

// RunWorkflowID returns the id of the workflow of a run that was asked for by hand.
func RunWorkflowID(owner, scheduleID, taskID string) string {
	return RunPrefix(owner, scheduleID) + "/" + taskID
}

// Scheduled is what the workflow service is told of a schedule.
type Scheduled struct {
	ID       string
	Owner    string
	Name     string
	Timing   Timing // filled
	Paused   bool
	Revision int64 // a higher one replaces a lower one
}

// ReimportRequest is the one argument of the Reimport workflow.
type ReimportRequest struct {
	ScheduleID string `json:"schedule_id"`
	// TaskID is that of the run; "" is derived from the workflow's id.
	TaskID string `json:"task_id,omitempty"`
}

// CheckRequest returns errcode.BadRequest for ids that are none.
func (r ReimportRequest) CheckRequest() error {
	switch {
	case r.ScheduleID == "" || !idOrEmpty(r.ScheduleID):
		return badField("schedule_id", "is no UUID")
	case !idOrEmpty(r.TaskID):
		return badField("task_id", "is no UUID")
	}
	return nil
}

// RunRequest is a run as the catalogue keeps its task.
func RunRequest(scheduleID, owner, taskID string) ImportRequest {
	return ImportRequest{Method: MethodReimport, ScheduleID: scheduleID, TaskID: taskID, ImageID: DerivedImageID(RunImportID(taskID), 0), Owner: owner}
}

// RunImportID returns the id of the task with which a run imports.
func RunImportID(runTaskID string) string { return DerivedTaskID("reimport-import/" + runTaskID) }

// BeginRunParams asks for the catalogue's rows of a run.
type BeginRunParams struct {
	ScheduleID string `json:"schedule_id"`
	TaskID     string `json:"task_id"`
	WorkflowID string `json:"workflow_id"`
}

// BeginRunResult is what a run has to do.
type BeginRunResult struct {
	// Gone says that there is no such schedule any more: nothing was recorded.
	Gone bool `json:"gone,omitempty"`
	// Finished is set if the run had ended before; Error is how, if it failed.
	Finished bool         `json:"finished,omitempty"`
	Run      *ReimportEnd `json:"run,omitempty"`
	Error    *ErrorValue  `json:"error,omitempty"`
	// Busy is the task of another run of the schedule, which is under way.
	Busy  string       `json:"busy,omitempty"`
	Owner string       `json:"owner,omitempty"`
	Spec  ScheduleSpec `json:"spec"`
	// Known is the current version, nil if there is none whose image can be used.
	Known *SourceVersion `json:"known,omitempty"`
	// Held is the version that was rolled back: it is not switched to again.
	Held *SourceVersion `json:"held,omitempty"`
	// Missing says that there was a current version, and its image is gone.
	Missing bool `json:"missing,omitempty"`
}

// A SourceVersion is what a source says of itself by which one version of it is told
// from another. It is small, and holds no secret.
type SourceVersion struct {
	// URL is that of the file, without user and query.
	URL          string `json:"url"`
	Size         int64  `json:"size"` // bytes, -1 if unknown
	Digest       string `json:"digest,omitempty"`
	Version      string `json:"version,omitempty"` // of an object in a bucket
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// LookParams asks which version a source has.
type LookParams struct {
	Source  SourceSpec `json:"source"` // its URL may end in a pattern
	Project string     `json:"project,omitempty"`
	Check   string     `json:"check"`
	Order   string     `json:"order,omitempty"`
}

// Looked is the version that a source has.
type Looked struct {
	URL     string        `json:"url"` // to import from
	Version SourceVersion `json:"version"`
	// Matches is how many files matched the pattern, 0 without one.
	Matches int `json:"matches,omitempty"`
	// Checksums is where the checksum file was, "" if none was read.
	Checksums string `json:"checksums,omitempty"`
}

// A Comparison is what a run has compared, for its task's history.
type Comparison struct {
	Found   SourceVersion  `json:"found"`
	Known   *SourceVersion `json:"known,omitempty"`
	Held    *SourceVersion `json:"held,omitempty"`
	By      string         `json:"by,omitempty"` // field that decided: CheckETag and so on
	Changed bool           `json:"changed"`
	Why     string         `json:"why"`
	Matches int            `json:"matches,omitempty"` // files that matched the pattern
}

// Outcomes of a run.
const (
	RunWaiting   = "waiting"
	RunRunning   = "running"
	RunUnchanged = "unchanged"
	RunSwitched  = "switched"
	RunHeld      = "held"    // the source still has the version that was rolled back
	RunSkipped   = "skipped" // another run was under way
	RunFailed    = "failed"
)

// ReimportEnd is what a run has come to: the result of the workflow.
type ReimportEnd struct {
	TaskID  string `json:"task_id"`
	Outcome string `json:"outcome"`
	Message string `json:"message,omitempty"`
	// ImageID is that of the current version, Previous that of the one before, if the run
	// has switched.
	ImageID      string      `json:"image_id,omitempty"`
	Previous     string      `json:"previous,omitempty"`
	ImportTaskID string      `json:"import_task_id,omitempty"`
	Comparison   *Comparison `json:"comparison,omitempty"`
}

// EndRunParams ends a run that has nothing to switch.
type EndRunParams struct {
	ScheduleID string      `json:"schedule_id"`
	End        ReimportEnd `json:"end"`
}

// SwitchParams ends a run with its new version as the current one.
type SwitchParams struct {
	ScheduleID string      `json:"schedule_id"`
	End        ReimportEnd `json:"end"` // its TaskID, ImportTaskID and Comparison
	Deactivate bool        `json:"deactivate,omitempty"`
	Keep       int         `json:"keep"`
}

// PruneParams asks for the removal of a schedule's versions that are not kept.
type PruneParams struct {
	ScheduleID string `json:"schedule_id"`
	TaskID     string `json:"task_id"`
}

// ImportEndParams asks how an import has ended, of which the workflow is not known.
type ImportEndParams struct {
	TaskID string `json:"task_id"`
}

// ImportEnd says how an import has ended.
type ImportEnd struct {
	Finished bool        `json:"finished"`
	Error    *ErrorValue `json:"error,omitempty"`
}
