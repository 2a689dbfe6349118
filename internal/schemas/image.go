package schemas

// Image is the schema of an image. Free properties are texts.
func Image(o Options) Object {
	properties := imageProperties(o)
	further := o.Image
	if further == nil {
		further = WellKnown()
	}
	for name, p := range further {
		if _, taken := properties[name]; taken {
			continue
		}
		p = about(clone(p), described(p))
		p["is_base"] = false
		properties[name] = p
	}
	return Object{
		"name": "image", "properties": properties, "additionalProperties": text(),
		"links": list{link("self", "{self}"), link("enclosure", "{file}"), link("describedby", "{schema}")},
	}
}

func clone(o Object) Object {
	out := make(Object, len(o)+1)
	for k, v := range o {
		out[k] = v
	}
	return out
}

func described(o Object) string {
	s, _ := o["description"].(string)
	return s
}

// formats are the values of a member that may be unset.
func formats(names []string) Object {
	return Object{"type": list{"null", "string"}, "enum": append(list{nil}, oneOf(names...)...)}
}

// nullable is a text that may be unset.
func nullable(most int) Object {
	o := orNull("string")
	o["maxLength"] = most
	return o
}

func imageProperties(o Options) Object {
	out := Object{
		"id":               about(Object{"type": "string", "pattern": uuidPattern}, "Id of the image, a UUID"),
		"name":             about(nullable(255), "Name of the image; several may share it"),
		"status":           about(shown(Object{"type": "string", "enum": oneOf("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated")}), "Where the image is in its life"),
		"visibility":       about(Object{"type": "string", "enum": oneOf("community", "public", "private", "shared")}, "Who sees the image"),
		"protected":        about(Object{"type": "boolean"}, "Whether the image is safe from deletion"),
		"os_hidden":        about(Object{"type": "boolean"}, "Whether lists leave the image out unless they are asked for hidden ones"),
		"checksum":         about(shown(nullable(32)), "MD5 of the stored bytes, hexadecimal"),
		"os_hash_algo":     about(shown(nullable(64)), "Algorithm of os_hash_value"),
		"os_hash_value":    about(shown(nullable(128)), "Digest of the stored bytes, hexadecimal"),
		"owner":            about(nullable(255), "Project that owns the image"),
		"size":             about(shown(orNull("integer")), "Stored bytes"),
		"virtual_size":     about(shown(orNull("integer")), "Bytes that a guest sees"),
		"container_format": about(formats(o.ContainerFormats), "What the disk is wrapped in"),
		"disk_format":      about(formats(o.DiskFormats), "Format of the disk"),
		"created_at":       about(shown(text()), "When the image was registered"),
		"updated_at":       about(shown(text()), "When the image was changed last"),
		"tags":             about(Object{"type": "array", "items": limited(255)}, "Words that the image can be found by"),
		"direct_url":       about(shown(text()), "Where the store has the bytes"),
		"min_ram":          about(Object{"type": "integer"}, "Memory that a guest needs at least, MiB"),
		"min_disk":         about(Object{"type": "integer"}, "Disk that a guest needs at least, GiB"),
		"self":             about(shown(text()), "URL of the image"),
		"file":             about(shown(text()), "URL of the image's bytes"),
		"schema":           about(shown(text()), "URL of this schema"),
		"locations":        about(Object{"type": "array", "items": location()}, "Places where stores have the bytes"),
	}
	if o.Stores {
		// Clients of before 2023 fail on it, so it stands here only where it means something.
		out["stores"] = about(shown(text()), "Names of the stores that have the image, joined by commas")
	}
	return out
}

func location() Object {
	return Object{
		"type": "object", "required": oneOf("url", "metadata"),
		"properties": Object{
			"url": limited(255), "metadata": Object{"type": "object"},
			"validation_data": about(Object{
				"type": "object", "writeOnly": true, "additionalProperties": false,
				"required": oneOf("os_hash_algo", "os_hash_value"),
				"properties": Object{
					"checksum":     Object{"type": "string", "minLength": 32, "maxLength": 32},
					"os_hash_algo": limited(64), "os_hash_value": limited(128),
				},
			}, "Digests that the bytes must have; of an image that has its own, the same"),
		},
	}
}

// WellKnown are the free properties that OpenStack's services agree on.
func WellKnown() map[string]Object {
	image := func(what string) Object {
		o := orNull("string")
		o["pattern"] = uuidPattern
		return about(o, what)
	}
	return map[string]Object{
		"kernel_id":                image("Id of the image whose kernel boots an AMI-style image"),
		"ramdisk_id":               image("Id of the image whose ramdisk boots an AMI-style image"),
		"instance_uuid":            about(text(), "Id of the server that the image was taken of; for information only"),
		"architecture":             about(text(), "Architecture that the operating system was built for, such as x86_64"),
		"os_distro":                about(text(), "Common name of the operating system's distribution, in lower case"),
		"os_version":               about(text(), "Version of the operating system, as its distributor writes it"),
		"description":              about(text(), "What the image is, for people"),
		"cinder_encryption_key_id": about(text(), "Id of the key that a volume made of the image is encrypted with"),
		"cinder_encryption_key_deletion_policy": about(Object{"type": "string", "enum": oneOf("on_image_deletion", "do_not_delete")},
			"What becomes of the encryption key when the image is deleted; nothing, if it is not set"),
	}
}
