package metadata

import (
	"context"

	"github.com/google/uuid"
)

// CreateNamespace makes a namespace with everything in it, or nothing. Its id and all
// times are set here. errcode.Conflict says that the name is taken, or that something
// in it stands there twice.
func (c *Catalogue) CreateNamespace(ctx context.Context, w WholeNamespace) (WholeNamespace, error) {
	return update(ctx, c, func(tx Tx) (WholeNamespace, error) {
		if _, err := tx.Namespace(ctx, w.Name); !isNotFound(err) {
			return w, found(err, "namespace", w.Name)
		}
		return c.addNamespace(ctx, tx, w)
	})
}

// found turns the answer to a look-up into that to a creation.
func found(err error, what, name string) error {
	if err == nil {
		return taken(what, name)
	}
	return err
}

func (c *Catalogue) addNamespace(ctx context.Context, tx Tx, w WholeNamespace) (WholeNamespace, error) {
	now := c.moment()
	w.ID, w.CreatedAt, w.UpdatedAt = uuid.NewString(), now, now
	if w.Visibility == "" {
		w.Visibility = "private"
	}
	if err := tx.PutNamespace(ctx, w.Namespace); err != nil {
		return w, err
	}
	seen := map[string]bool{}
	for i := range w.Associations {
		a := &w.Associations[i]
		a.NamespaceID, a.CreatedAt, a.UpdatedAt = w.ID, now, now
		if seen[a.ResourceType] {
			return w, taken("association with resource type", a.ResourceType)
		}
		seen[a.ResourceType] = true
		if err := associate(ctx, tx, *a); err != nil {
			return w, err
		}
	}
	for i := range w.Definitions {
		w.Definitions[i].NamespaceID = w.ID
	}
	return w, c.addDefinitions(ctx, tx, nil, w.Definitions)
}

func associate(ctx context.Context, tx Tx, a Association) error {
	if err := tx.PutResourceType(ctx, ResourceType{Name: a.ResourceType, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}); err != nil {
		return err
	}
	return tx.PutAssociation(ctx, a)
}

// addDefinitions adds definitions to those that are there. Its times are set in list.
func (c *Catalogue) addDefinitions(ctx context.Context, tx Tx, there, list []Definition) error {
	type key struct {
		kind DefinitionKind
		name string
	}
	now, seen, count := c.moment(), map[key]bool{}, map[DefinitionKind]int{}
	for _, d := range there {
		seen[key{d.Kind, d.Name}] = true
		count[d.Kind]++
	}
	for i := range list {
		d := &list[i]
		d.Seq, d.CreatedAt, d.UpdatedAt = 0, now, now
		k := key{d.Kind, d.Name}
		if seen[k] {
			return taken(string(d.Kind), d.Name)
		}
		seen[k] = true
		count[d.Kind]++
		if err := tooMany(d.Kind, count[d.Kind]); err != nil {
			return err
		}
	}
	return tx.PutDefinitions(ctx, list...)
}

// UpdateNamespace replaces what a namespace says of itself, and keeps what is in it.
func (c *Catalogue) UpdateNamespace(ctx context.Context, ns Namespace) (Namespace, error) {
	return update(ctx, c, func(tx Tx) (Namespace, error) {
		old, err := tx.NamespaceByID(ctx, ns.ID)
		if err != nil {
			return ns, err
		}
		if ns.Name != old.Name {
			if _, err := tx.Namespace(ctx, ns.Name); !isNotFound(err) {
				return ns, found(err, "namespace", ns.Name)
			}
		}
		ns := ns
		ns.CreatedAt, ns.UpdatedAt = old.CreatedAt, c.moment()
		return ns, tx.PutNamespace(ctx, ns)
	})
}

// DeleteNamespace removes a namespace and everything in it. errcode.Forbidden says that
// it is protected.
func (c *Catalogue) DeleteNamespace(ctx context.Context, id string) error {
	return c.changeUnprotected(ctx, id, func(tx Tx) error { return tx.DeleteNamespace(ctx, id) })
}

// changeUnprotected takes something from a namespace.
func (c *Catalogue) changeUnprotected(ctx context.Context, id string, fn func(Tx) error) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		if _, err := unprotected(ctx, tx, id); err != nil {
			return err
		}
		return fn(tx)
	})
}

// Associate ties a namespace to a type of resources, which is made if there is none of
// its name.
func (c *Catalogue) Associate(ctx context.Context, a Association) (Association, error) {
	return update(ctx, c, func(tx Tx) (Association, error) {
		a := a
		a.CreatedAt = c.moment()
		a.UpdatedAt = a.CreatedAt
		if _, err := tx.NamespaceByID(ctx, a.NamespaceID); err != nil {
			return a, err
		}
		there, err := tx.Associations(ctx, a.NamespaceID)
		if err != nil {
			return a, err
		}
		if tied(there, a.ResourceType) {
			return a, taken("association with resource type", a.ResourceType)
		}
		if len(there) >= MaxDefinitions {
			return a, tooMany("association", len(there)+1)
		}
		return a, associate(ctx, tx, a)
	})
}

func tied(list []Association, resourceType string) bool {
	for _, a := range list {
		if a.ResourceType == resourceType {
			return true
		}
	}
	return false
}

// Dissociate unties them. The type stays.
func (c *Catalogue) Dissociate(ctx context.Context, namespaceID, resourceType string) error {
	return c.changeUnprotected(ctx, namespaceID, func(tx Tx) error {
		there, err := tx.Associations(ctx, namespaceID)
		if err != nil {
			return err
		}
		if !tied(there, resourceType) {
			return absent("association with resource type", resourceType)
		}
		return tx.DeleteAssociation(ctx, namespaceID, resourceType)
	})
}

// Define adds definitions of one kind to a namespace, all or none. With instead they
// replace those that are there, protected or not: as in Glance, protection is against
// deletion.
func (c *Catalogue) Define(ctx context.Context, namespaceID string, kind DefinitionKind, instead bool, list ...Definition) ([]Definition, error) {
	return update(ctx, c, func(tx Tx) ([]Definition, error) {
		if _, err := tx.NamespaceByID(ctx, namespaceID); err != nil {
			return nil, err
		}
		there, err := tx.Definitions(ctx, namespaceID, kind)
		if err != nil {
			return nil, err
		}
		if instead {
			if err := tx.DeleteDefinitions(ctx, namespaceID, kind, ""); err != nil {
				return nil, err
			}
			there = nil
		}
		out := make([]Definition, len(list))
		for i, d := range list {
			d.NamespaceID, d.Kind = namespaceID, kind
			out[i] = d
		}
		return out, c.addDefinitions(ctx, tx, there, out)
	})
}

// Redefine replaces a definition, and gives it another name if d has one.
func (c *Catalogue) Redefine(ctx context.Context, namespaceID string, kind DefinitionKind, name string, d Definition) (Definition, error) {
	return update(ctx, c, func(tx Tx) (Definition, error) {
		there, err := tx.Definitions(ctx, namespaceID, kind)
		if err != nil {
			return d, err
		}
		i := indexOf(there, kind, name)
		if i < 0 {
			return d, absent(string(kind), name)
		}
		if d.Name != name && indexOf(there, kind, d.Name) >= 0 {
			return d, taken(string(kind), d.Name)
		}
		out := there[i]
		out.Name, out.Document, out.UpdatedAt = d.Name, d.Document, c.moment()
		return out, tx.PutDefinitions(ctx, out)
	})
}

// Undefine removes a definition, or all of the kind for "".
func (c *Catalogue) Undefine(ctx context.Context, namespaceID string, kind DefinitionKind, name string) error {
	return c.changeUnprotected(ctx, namespaceID, func(tx Tx) error {
		if name != "" {
			if _, err := defined(ctx, tx, namespaceID, kind, name); err != nil {
				return err
			}
		}
		return tx.DeleteDefinitions(ctx, namespaceID, kind, name)
	})
}

// A LoadMode says what becomes of a namespace that is there already when another one of
// its name is loaded.
type LoadMode string

// The ways of loading.
const (
	LoadSkip    LoadMode = "skip"    // it stays as it is
	LoadMerge   LoadMode = "merge"   // what it lacks is added
	LoadPrefer  LoadMode = "prefer"  // what it lacks is added, and what it has is replaced
	LoadReplace LoadMode = "replace" // it is removed first
)

// What LoadNamespace has done.
const (
	LoadCreated   = "created"
	LoadSkipped   = "skipped"
	LoadMerged    = "merged"
	LoadReplaced  = "replaced"
	LoadUnchanged = "unchanged"
)

// LoadNamespace brings a namespace into the catalogue, protected or not, and says what
// it did.
func (c *Catalogue) LoadNamespace(ctx context.Context, w WholeNamespace, mode LoadMode) (string, error) {
	return update(ctx, c, func(tx Tx) (string, error) {
		w := w.copied() // the transaction may run again
		old, err := tx.Namespace(ctx, w.Name)
		switch {
		case isNotFound(err):
			_, err = c.addNamespace(ctx, tx, w)
			return LoadCreated, err
		case err != nil:
			return "", err
		case mode == LoadSkip:
			return LoadSkipped, nil
		case mode == LoadReplace:
			if err := tx.DeleteNamespace(ctx, old.ID); err != nil {
				return "", err
			}
			_, err = c.addNamespace(ctx, tx, w)
			return LoadReplaced, err
		}
		return c.merge(ctx, tx, old, w, mode == LoadPrefer)
	})
}

func (w WholeNamespace) copied() WholeNamespace {
	w.Associations = append([]Association(nil), w.Associations...)
	w.Definitions = append([]Definition(nil), w.Definitions...)
	return w
}

// merge adds what a namespace lacks.
func (c *Catalogue) merge(ctx context.Context, tx Tx, old Namespace, w WholeNamespace, prefer bool) (string, error) {
	now := c.moment()
	if prefer {
		w.ID, w.CreatedAt, w.UpdatedAt = old.ID, old.CreatedAt, now
		if err := tx.PutNamespace(ctx, w.Namespace); err != nil {
			return "", err
		}
	}
	ties, err := tx.Associations(ctx, old.ID)
	if err != nil {
		return "", err
	}
	changed := prefer
	for _, a := range w.Associations {
		a.NamespaceID, a.CreatedAt, a.UpdatedAt = old.ID, now, now
		if has := tied(ties, a.ResourceType); has && !prefer {
			continue
		}
		changed = true
		if err := associate(ctx, tx, a); err != nil {
			return "", err
		}
	}
	more, err := c.mergeDefinitions(ctx, tx, old.ID, w.Definitions, prefer)
	if err != nil || !changed && !more {
		return LoadUnchanged, err
	}
	return LoadMerged, nil
}

func (c *Catalogue) mergeDefinitions(ctx context.Context, tx Tx, id string, list []Definition, prefer bool) (bool, error) {
	there, err := tx.Definitions(ctx, id, "")
	if err != nil {
		return false, err
	}
	var added, replaced []Definition
	for _, d := range list {
		d.NamespaceID = id
		i := indexOf(there, d.Kind, d.Name)
		switch {
		case i < 0:
			added = append(added, d)
		case prefer:
			same := there[i]
			same.Document, same.UpdatedAt = d.Document, c.moment()
			replaced = append(replaced, same)
		}
	}
	if err := c.addDefinitions(ctx, tx, there, added); err != nil {
		return false, err
	}
	return len(added)+len(replaced) > 0, tx.PutDefinitions(ctx, replaced...)
}
