package sqlcore

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// definitionsAtOnce is how many definitions one statement writes: SQLite takes 32766
// values.
const definitionsAtOnce = 500

// namespaceSort is the expression that namespaces are sorted by, "" for a key that there
// is not. None is ever null.
func namespaceSort(key string) string {
	switch key {
	case "", "created_at":
		return "created_us"
	case "updated_at":
		return "updated_us"
	case "display_name":
		return "COALESCE(display_name, '')"
	case "namespace", "visibility", "owner", "protected":
		return key
	}
	return ""
}

func (t *tx) Namespace(ctx context.Context, name string) (metadata.Namespace, error) {
	return t.namespace(ctx, "namespace", name)
}

func (t *tx) NamespaceByID(ctx context.Context, id string) (metadata.Namespace, error) {
	return t.namespace(ctx, "id", id)
}

func (t *tx) namespace(ctx context.Context, column, value string) (metadata.Namespace, error) {
	var row namespaceRow
	if err := t.one(ctx, t.db.NewSelect().Model(&row).Where("? = ?", bun.Ident(column), value), "namespace", value); err != nil {
		return metadata.Namespace{}, err
	}
	return t.seenNamespace(row), nil
}

func (t *tx) seenNamespace(row namespaceRow) metadata.Namespace {
	t.versions["metadef_namespaces/"+row.ID] = row.RowVersion
	return row.namespace()
}

func (t *tx) Namespaces(ctx context.Context, f metadata.NamespaceFilter) ([]metadata.Namespace, error) {
	key := namespaceSort(f.SortKey)
	if key == "" {
		return nil, errcode.New(errcode.BadRequest, "namespaces are not sorted by %q", f.SortKey).With(errcode.Evidence{Field: "sort_key", Value: f.SortKey})
	}
	var rows []namespaceRow
	q := t.db.NewSelect().Model(&rows)
	if f.SeenBy != "" {
		q.Where("(owner = ? OR visibility = 'public')", f.SeenBy)
	}
	equal(q, "visibility", f.Visibility)
	if f.ResourceTypes != nil {
		q.Where("id IN (?)", t.db.NewSelect().Table("metadef_associations").Column("namespace_id").Where("resource_type IN (?)", bun.In(f.ResourceTypes)))
	}
	direction, beyond := "DESC", "<"
	if f.Ascending {
		direction, beyond = "ASC", ">"
	}
	if f.Marker != "" {
		marker := t.db.NewSelect().Table("metadef_namespaces").Where("namespace = ?", f.Marker)
		if err := t.after(ctx, q, marker, key, beyond, f.Marker); err != nil {
			return nil, err
		}
	}
	if f.Limit > 0 {
		q.Limit(int64(f.Limit))
	}
	if err := q.OrderExpr(key + " " + direction + ", created_us " + direction + ", id " + direction).Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list namespaces")
	}
	out := make([]metadata.Namespace, 0, len(rows))
	for _, row := range rows {
		out = append(out, t.seenNamespace(row))
	}
	return out, nil
}

// after narrows q to the rows behind a marker. The marker's own key is compared in the
// database, so that it need not be read in the type that it happens to have.
func (t *tx) after(ctx context.Context, q, marker *bun.SelectQuery, key, beyond, name string) error {
	var at struct {
		ID        string `bun:"id"`
		CreatedUS int64  `bun:"created_us"`
	}
	err := marker.Clone().Column("id", "created_us").Scan(ctx, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return errcode.New(errcode.NotFound, "marker %q is no namespace", name).With(errcode.Evidence{Field: "marker", Value: name})
	}
	if err != nil {
		return unavailable(ctx, err, "read marker")
	}
	own := t.db.NewSelect().Table("metadef_namespaces").ColumnExpr(key).Where("id = ?", at.ID)
	q.Where("("+key+" "+beyond+" (?) OR ("+key+" = (?) AND (created_us "+beyond+" ? OR (created_us = ? AND id "+beyond+" ?))))",
		own, own, at.CreatedUS, at.CreatedUS, at.ID)
	return nil
}

func (t *tx) PutNamespace(ctx context.Context, ns metadata.Namespace) error {
	row, err := newNamespaceRow(ns)
	if err != nil {
		return err
	}
	return t.put(ctx, "metadef_namespaces", ns.ID, &row, &row.RowVersion)
}

// DeleteNamespace implements metadata.Tx. What is in it goes with the row that it
// refers to.
func (t *tx) DeleteNamespace(ctx context.Context, id string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("metadef_namespaces").Where("id = ?", id).Exec(ctx)
	delete(t.versions, "metadef_namespaces/"+id)
	return unavailable(ctx, err, "delete namespace")
}

func (t *tx) ResourceTypes(ctx context.Context) ([]metadata.ResourceType, error) {
	var rows []resourceTypeRow
	if err := t.db.NewSelect().Model(&rows).Order("created_us", "name").Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list resource types")
	}
	return each(rows, func(r resourceTypeRow) (metadata.ResourceType, error) {
		return metadata.ResourceType{Name: r.Name, CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS)}, nil
	})
}

func (t *tx) PutResourceType(ctx context.Context, rt metadata.ResourceType) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := check("resource type", rt.Name, []column{{"name", rt.Name, maxName}}); err != nil {
		return err
	}
	known, err := t.db.NewSelect().Table("metadef_resource_types").Where("name = ?", rt.Name).Exists(ctx)
	if err != nil || known {
		return unavailable(ctx, err, "read resource type")
	}
	row := resourceTypeRow{Name: rt.Name, CreatedUS: micros(rt.CreatedAt), UpdatedUS: micros(rt.UpdatedAt)}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write resource type")
}

func (t *tx) Associations(ctx context.Context, namespaceIDs ...string) ([]metadata.Association, error) {
	var out []metadata.Association
	for ids := range slices.Chunk(namespaceIDs, idsAtOnce) {
		var rows []associationRow
		err := t.db.NewSelect().Model(&rows).Where("namespace_id IN (?)", bun.In(ids)).Order("created_us", "resource_type").Scan(ctx)
		if err != nil {
			return nil, unavailable(ctx, err, "list associations")
		}
		for _, row := range rows {
			out = append(out, row.association())
		}
	}
	return out, nil
}

func (t *tx) PutAssociation(ctx context.Context, a metadata.Association) error {
	row, err := newAssociationRow(a)
	if err != nil {
		return err
	}
	if err := t.DeleteAssociation(ctx, a.NamespaceID, a.ResourceType); err != nil {
		return err
	}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write association")
}

func (t *tx) DeleteAssociation(ctx context.Context, namespaceID, resourceType string) error {
	if err := t.writable(); err != nil {
		return err
	}
	_, err := t.db.NewDelete().Table("metadef_associations").Where("namespace_id = ?", namespaceID).Where("resource_type = ?", resourceType).Exec(ctx)
	return unavailable(ctx, err, "delete association")
}

func (t *tx) Definitions(ctx context.Context, namespaceID string, kind metadata.DefinitionKind) ([]metadata.Definition, error) {
	var rows []definitionRow
	q := t.db.NewSelect().Model(&rows).Where("namespace_id = ?", namespaceID)
	equal(q, "kind", string(kind))
	if err := q.Order("seq").Scan(ctx); err != nil {
		return nil, unavailable(ctx, err, "list definitions")
	}
	return each(rows, func(r definitionRow) (metadata.Definition, error) { return r.definition(), nil })
}

func (t *tx) PutDefinitions(ctx context.Context, list ...metadata.Definition) error {
	if err := t.writable(); err != nil {
		return err
	}
	var fresh []definitionRow
	for _, d := range list {
		row, err := newDefinitionRow(d)
		if err != nil {
			return err
		}
		if d.Seq == 0 {
			fresh = append(fresh, row)
			continue
		}
		if _, err := t.db.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
			return unavailable(ctx, err, "update definition")
		}
	}
	for part := range slices.Chunk(fresh, definitionsAtOnce) {
		if _, err := t.db.NewInsert().Model(&part).Exec(ctx); err != nil {
			return unavailable(ctx, err, "write definitions")
		}
	}
	return nil
}

func (t *tx) DeleteDefinitions(ctx context.Context, namespaceID string, kind metadata.DefinitionKind, name string) error {
	if err := t.writable(); err != nil {
		return err
	}
	q := t.db.NewDelete().Table("metadef_definitions").Where("namespace_id = ?", namespaceID).Where("kind = ?", string(kind))
	if name != "" {
		q.Where("name = ?", name)
	}
	_, err := q.Exec(ctx)
	return unavailable(ctx, err, "delete definitions")
}
