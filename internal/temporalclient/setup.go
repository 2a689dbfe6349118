package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/pause"
)

// DefaultRetention is how long closed workflows of ingest stay readable. The
// catalogue keeps what happened for ever; this is for looking closer.
const DefaultRetention = 7 * 24 * time.Hour

// pollEvery is the pause between two looks at whether the service knows what
// it was told. Services cache namespaces for 2 s and allow 10 visibility calls
// a second by default.
const pollEvery = 250 * time.Millisecond

// Setup makes the namespace ready for ingest: it creates it or corrects its
// retention, adds the search attributes that it lacks, and returns once the
// service answers a query over all of them. It may be called again and by
// several processes at once. A retention of 0 means DefaultRetention for a
// new namespace and leaves that of an old one alone. The client may
// belong to any namespace. The context bounds the whole.
func Setup(ctx context.Context, c client.Client, namespace string, retention time.Duration) error {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	s := setup{ctx: ctx, c: c, namespace: namespace, retention: retention}
	for _, step := range []func() error{s.ensureNamespace, s.ensureAttributes, s.awaitUsable} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// setup is the state of one Setup.
type setup struct {
	ctx       context.Context
	c         client.Client
	namespace string
	retention time.Duration
}

func (s setup) ensureNamespace() error {
	var got *workflowservice.DescribeNamespaceResponse
	err := s.retry("describe namespace", func() (err error) {
		got, err = s.c.WorkflowService().DescribeNamespace(s.ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.namespace})
		if isNotFound(err) {
			got, err = nil, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if got == nil {
		return s.register()
	}
	have := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	if s.retention == 0 || have == s.retention {
		return nil
	}
	return s.retry("set retention", func() error {
		_, err := s.c.WorkflowService().UpdateNamespace(s.ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: s.namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(s.retention)},
		})
		return err
	})
}

func (s setup) register() error {
	retention := s.retention
	if retention == 0 {
		retention = DefaultRetention
	}
	return s.retry("create namespace", func() error {
		_, err := s.c.WorkflowService().RegisterNamespace(s.ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        s.namespace,
			Description:                      "Imports of virtual machine images by ingest.",
			WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		})
		var exists *serviceerror.NamespaceAlreadyExists
		if errors.As(err, &exists) { // somebody else was first
			return nil
		}
		return err
	})
}

func (s setup) ensureAttributes() error {
	missing, err := s.missing()
	if err != nil || len(missing) == 0 {
		return err
	}
	add := map[string]enumspb.IndexedValueType{}
	for _, name := range missing {
		add[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	return s.retry("add search attributes", func() error {
		_, err := s.c.OperatorService().AddSearchAttributes(s.ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: s.namespace, SearchAttributes: add,
		})
		var exists *serviceerror.AlreadyExists
		if errors.As(err, &exists) {
			return nil
		}
		return err
	})
}

// missing lists the search attributes that the namespace lacks.
func (s setup) missing() ([]string, error) {
	var have map[string]enumspb.IndexedValueType
	err := s.retry("list search attributes", func() error {
		got, err := s.c.OperatorService().ListSearchAttributes(s.ctx, &operatorservice.ListSearchAttributesRequest{Namespace: s.namespace})
		have = got.GetCustomAttributes()
		return err
	})
	if err != nil {
		return nil, err
	}
	return missingAttributes(have)
}

// missingAttributes lists, sorted, what ingest needs and the map lacks. One
// that is there with another type cannot be repaired from here.
func missingAttributes(have map[string]enumspb.IndexedValueType) ([]string, error) {
	var missing []string
	for _, name := range contract.SearchAttributes() {
		kind, ok := have[name]
		if !ok {
			missing = append(missing, name)
		} else if kind != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
			return nil, errcode.New(errcode.Conflict, "search attribute %s is of type %v, want Keyword: remove it with `temporal operator search-attribute remove`", name, kind).
				With(errcode.Evidence{Format: "temporal", Field: name, Value: kind.String()})
		}
	}
	sort.Strings(missing)
	return missing, nil
}

// awaitUsable returns once the service lists workflows by every attribute,
// which it refuses as long as its caches do not know them.
func (s setup) awaitUsable() error {
	terms := make([]string, 0, len(contract.SearchAttributes()))
	for _, name := range contract.SearchAttributes() {
		terms = append(terms, fmt.Sprintf("%s = 'none'", name))
	}
	query := strings.Join(terms, " AND ")
	return s.retry("use search attributes", func() error {
		_, err := s.c.WorkflowService().CountWorkflowExecutions(s.ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: s.namespace, Query: query,
		})
		if isUnready(err) {
			return notYetError{err}
		}
		return err
	})
}

// retry calls f until it succeeds, fails for good, or the context ends.
func (s setup) retry(doing string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		if !transient(err) {
			return errcode.Wrap(err, refusal(err), "%s of Temporal namespace %q: %v", doing, s.namespace, err)
		}
		if pause.For(s.ctx, pollEvery) != nil {
			return errcode.Wrap(err, errcode.WorkflowService, "%s of Temporal namespace %q: gave up waiting: %v", doing, s.namespace, err)
		}
	}
}
