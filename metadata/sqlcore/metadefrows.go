package sqlcore

import (
	"github.com/uptrace/bun"

	"ingest/metadata"
)

type namespaceRow struct {
	bun.BaseModel `bun:"table:metadef_namespaces"`

	ID          string  `bun:"id,pk"`
	Namespace   string  `bun:"namespace"`
	DisplayName *string `bun:"display_name"`
	Description *string `bun:"description"`
	Visibility  string  `bun:"visibility"`
	Protected   bool    `bun:"protected"`
	Owner       string  `bun:"owner"`
	CreatedUS   int64   `bun:"created_us"`
	UpdatedUS   int64   `bun:"updated_us"`
	RowVersion  int64   `bun:"row_version"`
}

func newNamespaceRow(ns metadata.Namespace) (namespaceRow, error) {
	row := namespaceRow{
		ID: ns.ID, Namespace: ns.Name, DisplayName: ns.DisplayName, Description: ns.Description, Visibility: ns.Visibility,
		Protected: ns.Protected, Owner: ns.Owner, CreatedUS: micros(ns.CreatedAt), UpdatedUS: micros(ns.UpdatedAt),
	}
	return row, check("namespace", ns.ID, []column{
		{"id", ns.ID, maxID}, {"namespace", ns.Name, maxName}, {"display_name", orEmpty(ns.DisplayName), maxName},
		{"description", orEmpty(ns.Description), maxLong}, {"visibility", ns.Visibility, maxWord}, {"owner", ns.Owner, maxName},
	})
}

func (r namespaceRow) namespace() metadata.Namespace {
	return metadata.Namespace{
		ID: r.ID, Name: r.Namespace, DisplayName: r.DisplayName, Description: r.Description, Visibility: r.Visibility,
		Protected: r.Protected, Owner: r.Owner, CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
}

type resourceTypeRow struct {
	bun.BaseModel `bun:"table:metadef_resource_types"`

	Name      string `bun:"name,pk"`
	CreatedUS int64  `bun:"created_us"`
	UpdatedUS int64  `bun:"updated_us"`
}

type associationRow struct {
	bun.BaseModel `bun:"table:metadef_associations"`

	NamespaceID      string  `bun:"namespace_id,pk"`
	ResourceType     string  `bun:"resource_type,pk"`
	Prefix           *string `bun:"prefix"`
	PropertiesTarget *string `bun:"properties_target"`
	CreatedUS        int64   `bun:"created_us"`
	UpdatedUS        int64   `bun:"updated_us"`
}

func newAssociationRow(a metadata.Association) (associationRow, error) {
	row := associationRow{
		NamespaceID: a.NamespaceID, ResourceType: a.ResourceType, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget,
		CreatedUS: micros(a.CreatedAt), UpdatedUS: micros(a.UpdatedAt),
	}
	return row, check("association", a.NamespaceID, []column{
		{"namespace", a.NamespaceID, maxID}, {"resource_type", a.ResourceType, maxName},
		{"prefix", orEmpty(a.Prefix), maxName}, {"properties_target", orEmpty(a.PropertiesTarget), maxName},
	})
}

func (r associationRow) association() metadata.Association {
	return metadata.Association{
		NamespaceID: r.NamespaceID, ResourceType: r.ResourceType, Prefix: r.Prefix, PropertiesTarget: r.PropertiesTarget,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
}

type definitionRow struct {
	bun.BaseModel `bun:"table:metadef_definitions"`

	Seq         int64  `bun:"seq,pk,autoincrement"`
	NamespaceID string `bun:"namespace_id"`
	Kind        string `bun:"kind"`
	Name        string `bun:"name"`
	Document    string `bun:"document"`
	CreatedUS   int64  `bun:"created_us"`
	UpdatedUS   int64  `bun:"updated_us"`
}

func newDefinitionRow(d metadata.Definition) (definitionRow, error) {
	row := definitionRow{
		Seq: d.Seq, NamespaceID: d.NamespaceID, Kind: string(d.Kind), Name: d.Name, Document: string(d.Document),
		CreatedUS: micros(d.CreatedAt), UpdatedUS: micros(d.UpdatedAt),
	}
	return row, check("definition", d.NamespaceID, []column{
		{"namespace", d.NamespaceID, maxID}, {"kind", string(d.Kind), maxWord}, {"name", d.Name, maxName}, {"document", string(d.Document), maxText},
	})
}

func (r definitionRow) definition() metadata.Definition {
	return metadata.Definition{
		Seq: r.Seq, NamespaceID: r.NamespaceID, Kind: metadata.DefinitionKind(r.Kind), Name: r.Name, Document: raw(r.Document),
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
