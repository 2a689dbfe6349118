package workflows_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// hosts makes each fetch answer from the next host.
func (b *bench) hosts(queues ...string) {
	n := 0
	b.steps.OnFetch = func(ctx context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		f := fetched
		f.Queue = queues[min(n, len(queues)-1)]
		n++
		return f, nil
	}
}

// silent makes the conversion wait in vain for its host, times times.
func (b *bench) silent(times int) {
	b.env.OnActivity(contract.ConvertActivity, mock.Anything, mock.Anything).Return(func(ctx context.Context, p contract.ConvertParams) (contract.Converted, error) {
		if times--; times >= 0 {
			return contract.Converted{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
		}
		return b.steps.Convert(ctx, p, func(int64, int64, []byte) {})
	})
}

func TestBusyHostKeepsItsRound(t *testing.T) {
	b := newBench(t)
	b.hosts("ingest-host-a")
	b.silent(5) // more often than there are rounds
	got, err := b.run(request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	count := map[contract.Stage]int{}
	for _, s := range b.order() {
		count[s]++
	}
	want := map[contract.Stage]int{contract.StageFetch: 6, contract.StageDetect: 1, contract.StageValidate: 1,
		contract.StageConvert: 1, contract.StageChecksum: 1, contract.StageStore: 1, contract.StageCleanup: 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestLostHostBeginsARound(t *testing.T) {
	b := newBench(t)
	b.hosts("ingest-host-a", "ingest-host-b")
	b.silent(1)
	got, err := b.run(request)
	if err != nil {
		t.Fatal(err)
	}
	if want := "store://local/" + key(2); got.Images[0].Location != want {
		t.Errorf("location %s, want %s", got.Images[0].Location, want)
	}
	want := []contract.CleanupParams{
		{TaskID: taskID, ImageID: imageID, Store: "local", Key: key(1)},
		{TaskID: taskID, ImageID: imageID, Store: "local", Key: key(2), Success: true},
	}
	if diff := cmp.Diff(want, b.steps.Cleanups()); diff != "" {
		t.Errorf("cleanups (-want +got):\n%s", diff)
	}
}

func TestRoundsEnd(t *testing.T) {
	b := newBench(t)
	b.hosts("ingest-host-a", "ingest-host-b", "ingest-host-c", "ingest-host-d")
	b.silent(100)
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.StagingLost {
		t.Errorf("code %s, want %s", v.Code, errcode.StagingLost)
	}
	if n := len(b.steps.Cleanups()); n != 4 {
		t.Errorf("%d places were cleaned up, want 4", n)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
}

func TestLostStagingIsFetchedAgain(t *testing.T) {
	for _, code := range []errcode.Code{errcode.StagingLost, errcode.UploadUnknown} {
		t.Run(string(code), func(t *testing.T) {
			b := newBench(t)
			b.hosts("ingest-host-a")
			fail(b, contract.StageChecksum, errcode.New(code, "gone"), 1)
			if _, err := b.run(request); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{key(1), key(2)}, b.keys()); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStagingThatIsAlwaysLostEnds(t *testing.T) {
	b := newBench(t)
	b.hosts("ingest-host-a")
	fail(b, contract.StageDetect, errcode.New(errcode.StagingLost, "gone"), -1)
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.StagingLost {
		t.Errorf("code %s, want %s", v.Code, errcode.StagingLost)
	}
}

// A fetch that fails tells where it was, so that what it staged is removed
// there.
func TestFailedFetchIsCleanedUpOnItsHost(t *testing.T) {
	b := newBench(t)
	b.host("ingest-host-a")
	fail(b, contract.StageFetch, errcode.New(errcode.ChecksumMismatch, "digest differs"), -1)
	var queues []string
	b.env.SetOnActivityStartedListener(func(info *activityInfo, _ context.Context, _ encoded) {
		if info.ActivityType.Name == contract.CleanupActivity {
			queues = append(queues, info.TaskQueue)
		}
	})
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.ChecksumMismatch || v.Queue != "" {
		t.Errorf("error %+v, want IMG_CHECKSUM_MISMATCH without the host's queue", v)
	}
	if diff := cmp.Diff([]string{"ingest-host-a"}, queues); diff != "" {
		t.Errorf("cleanup's queues (-want +got):\n%s", diff)
	}
}
