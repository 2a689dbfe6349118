package access

// metadefRules are for metadata definitions: whoever sees a namespace sees what is in
// it, and administrators change it.
func metadefRules() []Rule {
	const (
		top        = "/v2/metadefs/namespaces"
		one        = top + "/{namespace}"
		objects    = one + "/objects"
		properties = one + "/properties"
		tags       = one + "/tags"
		types      = one + "/resource_types"
		changes    = "rule:metadef_admin"
	)
	return []Rule{
		rule("metadef_default", "", "what a rule of metadata definitions says that says nothing"),
		rule("metadef_admin", admin, "change metadata definitions"),

		rule("get_metadef_namespaces", "role:admin or role:reader", "list namespaces", "GET "+top),
		rule("get_metadef_namespace", namespace, "see a namespace", "GET "+one),
		rule("add_metadef_namespace", changes, "make a namespace", "POST "+top),
		rule("modify_metadef_namespace", changes, "change a namespace", "PUT "+one),
		rule("delete_metadef_namespace", changes, "delete a namespace", "DELETE "+one),

		rule("get_metadef_objects", namespace, "list the objects of a namespace", "GET "+objects),
		rule("get_metadef_object", namespace, "see an object", "GET "+objects+"/{object}"),
		rule("add_metadef_object", changes, "make an object", "POST "+objects),
		rule("modify_metadef_object", changes, "change an object", "PUT "+objects+"/{object}"),
		rule("delete_metadef_object", changes, "delete an object", "DELETE "+objects+"/{object}"),

		rule("list_metadef_resource_types", "role:admin or role:reader", "list resource types", "GET /v2/metadefs/resource_types"),
		rule("get_metadef_resource_type", namespace, "list the resource types of a namespace", "GET "+types),
		rule("add_metadef_resource_type_association", changes, "give a namespace a resource type", "POST "+types),
		rule("remove_metadef_resource_type_association", changes, "take a resource type from a namespace", "DELETE "+types+"/{type}"),

		rule("get_metadef_properties", namespace, "list the properties of a namespace", "GET "+properties),
		rule("get_metadef_property", namespace, "see a property", "GET "+properties+"/{property}"),
		rule("add_metadef_property", changes, "make a property", "POST "+properties),
		rule("modify_metadef_property", changes, "change a property", "PUT "+properties+"/{property}"),
		rule("remove_metadef_property", changes, "delete a property", "DELETE "+properties+"/{property}"),

		rule("get_metadef_tags", namespace, "list the tags of a namespace", "GET "+tags),
		rule("get_metadef_tag", namespace, "see a tag", "GET "+tags+"/{tag}"),
		rule("add_metadef_tag", changes, "make a tag", "POST "+tags+"/{tag}"),
		rule("add_metadef_tags", changes, "make several tags", "POST "+tags),
		rule("modify_metadef_tag", changes, "change a tag", "PUT "+tags+"/{tag}"),
		rule("delete_metadef_tag", changes, "delete a tag", "DELETE "+tags+"/{tag}"),
		rule("delete_metadef_tags", changes, "delete all tags of a namespace", "DELETE "+tags),
	}
}
