package metadata

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"ingest/internal/errcode"
)

// MaxDefinitions is how many properties, objects and tags each a namespace has at most:
// whoever asks for one gets them all. The largest of OpenStack's has about a hundred.
const MaxDefinitions = 4096

// A Namespace holds metadata definitions: which properties, groups of properties and
// tags there are for some types of resources, and what they mean.
type Namespace struct {
	ID          string // never shown
	Name        string // unique
	DisplayName *string
	Description *string
	Visibility  string // "public", "private"
	Protected   bool   // neither it nor anything in it can be deleted
	Owner       string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A ResourceType is what definitions can be for, such as OS::Glance::Image. One stays
// when the last namespace that is tied to it goes.
type ResourceType struct {
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// An Association ties a namespace to a type of resources.
type Association struct {
	NamespaceID      string
	ResourceType     string
	Prefix           *string // stands before the names of properties on such resources
	PropertiesTarget *string
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// A DefinitionKind says what is defined.
type DefinitionKind string

// What a namespace defines.
const (
	PropertyDefinition DefinitionKind = "property"
	ObjectDefinition   DefinitionKind = "object" // a group of properties
	TagDefinition      DefinitionKind = "tag"
)

// A Definition is one thing that a namespace defines.
type Definition struct {
	Seq         int64 // ascends within the catalogue; 0 for one that is not kept yet
	NamespaceID string
	Kind        DefinitionKind
	Name        string          // unique among those of its kind in the namespace
	Document    json.RawMessage // what is defined, nil for tags; the catalogue does not look into it
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A WholeNamespace is a namespace with everything in it.
type WholeNamespace struct {
	Namespace
	Associations []Association
	Definitions  []Definition // oldest first
}

// Of returns the definitions of a kind.
func (w WholeNamespace) Of(kind DefinitionKind) []Definition {
	var out []Definition
	for _, d := range w.Definitions {
		if d.Kind == kind {
			out = append(out, d)
		}
	}
	return out
}

// A NamespaceFilter selects namespaces. Zero fields select all.
type NamespaceFilter struct {
	// SeenBy selects those that the project sees: its own and public ones.
	SeenBy        string
	Visibility    string
	ResourceTypes []string // tied to one of these at least; nil selects all
	// SortKey is "namespace", "display_name", "visibility", "owner", "protected",
	// "updated_at", or by default "created_at".
	SortKey   string
	Ascending bool
	Marker    string // name of the namespace after which to go on
	Limit     int    // 0 means no limit
}

// MetadefTx is what a transaction can do with metadata definitions. Get methods return
// errcode.NotFound.
type MetadefTx interface {
	Namespace(ctx context.Context, name string) (Namespace, error)
	NamespaceByID(ctx context.Context, id string) (Namespace, error)
	Namespaces(ctx context.Context, f NamespaceFilter) ([]Namespace, error)
	// PutNamespace inserts or replaces by id.
	PutNamespace(ctx context.Context, ns Namespace) error
	// DeleteNamespace removes a namespace and everything in it, if there is one.
	DeleteNamespace(ctx context.Context, id string) error
	// ResourceTypes lists all, the oldest first.
	ResourceTypes(ctx context.Context) ([]ResourceType, error)
	// PutResourceType adds a type unless there is one of its name.
	PutResourceType(ctx context.Context, t ResourceType) error
	// Associations lists those of namespaces, the oldest first.
	Associations(ctx context.Context, namespaceIDs ...string) ([]Association, error)
	// PutAssociation inserts or replaces by namespace and type, which must be there.
	PutAssociation(ctx context.Context, a Association) error
	DeleteAssociation(ctx context.Context, namespaceID, resourceType string) error
	// Definitions lists those of a namespace and a kind, the oldest first; of every kind
	// for "".
	Definitions(ctx context.Context, namespaceID string, kind DefinitionKind) ([]Definition, error)
	// PutDefinitions inserts those without a Seq, and replaces those with one.
	PutDefinitions(ctx context.Context, list ...Definition) error
	// DeleteDefinitions removes one, or all of the kind for "".
	DeleteDefinitions(ctx context.Context, namespaceID string, kind DefinitionKind, name string) error
}

// Namespace returns a namespace by its name.
func (c *Catalogue) Namespace(ctx context.Context, name string) (Namespace, error) {
	return view(ctx, c, func(tx Tx) (Namespace, error) { return tx.Namespace(ctx, name) })
}

// Namespaces lists namespaces with their associations, and without their definitions.
func (c *Catalogue) Namespaces(ctx context.Context, f NamespaceFilter) ([]WholeNamespace, error) {
	return view(ctx, c, func(tx Tx) ([]WholeNamespace, error) {
		list, err := tx.Namespaces(ctx, f)
		if err != nil || len(list) == 0 {
			return nil, err
		}
		out, at, ids := make([]WholeNamespace, len(list)), map[string]int{}, make([]string, len(list))
		for i, ns := range list {
			out[i].Namespace, at[ns.ID], ids[i] = ns, i, ns.ID
		}
		ties, err := tx.Associations(ctx, ids...)
		for _, a := range ties {
			w := &out[at[a.NamespaceID]]
			w.Associations = append(w.Associations, a)
		}
		return out, err
	})
}

// WholeNamespace returns a namespace with everything in it.
func (c *Catalogue) WholeNamespace(ctx context.Context, id string) (WholeNamespace, error) {
	return view(ctx, c, func(tx Tx) (w WholeNamespace, err error) {
		if w.Namespace, err = tx.NamespaceByID(ctx, id); err != nil {
			return w, err
		}
		if w.Associations, err = tx.Associations(ctx, id); err != nil {
			return w, err
		}
		w.Definitions, err = tx.Definitions(ctx, id, "")
		return w, err
	})
}

// ResourceTypes lists all types of resources, the oldest first.
func (c *Catalogue) ResourceTypes(ctx context.Context) ([]ResourceType, error) {
	return view(ctx, c, func(tx Tx) ([]ResourceType, error) { return tx.ResourceTypes(ctx) })
}

// Associations lists those of a namespace, the oldest first.
func (c *Catalogue) Associations(ctx context.Context, namespaceID string) ([]Association, error) {
	return view(ctx, c, func(tx Tx) ([]Association, error) { return tx.Associations(ctx, namespaceID) })
}

// Definitions lists those of a namespace and a kind, the oldest first.
func (c *Catalogue) Definitions(ctx context.Context, namespaceID string, kind DefinitionKind) ([]Definition, error) {
	return view(ctx, c, func(tx Tx) ([]Definition, error) { return tx.Definitions(ctx, namespaceID, kind) })
}

// Definition returns one.
func (c *Catalogue) Definition(ctx context.Context, namespaceID string, kind DefinitionKind, name string) (Definition, error) {
	return view(ctx, c, func(tx Tx) (Definition, error) { return defined(ctx, tx, namespaceID, kind, name) })
}

func defined(ctx context.Context, tx Tx, namespaceID string, kind DefinitionKind, name string) (Definition, error) {
	list, err := tx.Definitions(ctx, namespaceID, kind)
	if err != nil {
		return Definition{}, err
	}
	i := indexOf(list, kind, name)
	if i < 0 {
		return Definition{}, absent(string(kind), name)
	}
	return list[i], nil
}

func indexOf(list []Definition, kind DefinitionKind, name string) int {
	return slices.IndexFunc(list, func(d Definition) bool { return d.Kind == kind && d.Name == name })
}

func absent(what, name string) error {
	return errcode.New(errcode.NotFound, "there is no %s %q", what, name).With(errcode.Evidence{Structure: what, Field: "name", Value: name})
}

func taken(what, name string) error {
	return errcode.New(errcode.Conflict, "there is a %s %q already", what, name).With(errcode.Evidence{Structure: what, Field: "name", Value: name})
}

// unprotected returns a namespace that may lose something.
func unprotected(ctx context.Context, tx Tx, id string) (Namespace, error) {
	ns, err := tx.NamespaceByID(ctx, id)
	if err == nil && ns.Protected {
		return ns, errcode.New(errcode.Forbidden, "namespace %q is protected", ns.Name).
			With(errcode.Evidence{Structure: "namespace", Field: "protected", Value: "true"})
	}
	return ns, err
}

// tooMany returns errcode.QuotaExceeded for more definitions of a kind than there may be.
func tooMany(kind DefinitionKind, n int) error {
	if n <= MaxDefinitions {
		return nil
	}
	return errcode.New(errcode.QuotaExceeded, "a namespace has at most %d definitions of a kind, this would make it %d", MaxDefinitions, n).
		With(errcode.Evidence{Structure: "namespace", Field: string(kind), Value: strconv.Itoa(n), Limit: strconv.Itoa(MaxDefinitions)})
}
