package api

import (
	"encoding/json"
	"fmt"

	"ingest/internal/contract"
	"ingest/metadata"
)

// taskWork are the members that only the whole task shows.
type taskWork struct {
	Input   json.RawMessage `json:"input"`
	Result  json.RawMessage `json:"result"`
	Message string          `json:"message"`
}

// workOf writes input, result and message as Glance's tasks of that type have
// them.
func workOf(t metadata.Task) taskWork {
	w := taskWork{Input: json.RawMessage("null"), Result: json.RawMessage("null"), Message: messageOf(t)}
	if req, err := requestOf(t); err == nil {
		w.Input = inputOf(t.Type, req)
	}
	if len(t.Result) > 0 {
		// Glance's clients look for the one image; further ones stand beside it.
		var res contract.ImportResult
		if json.Unmarshal(t.Result, &res) == nil {
			result := map[string]any{"image_id": t.ImageID, "images": res.Images}
			if res.Exported != nil {
				result["exported"], result["export_location"] = res.Exported, res.Exported.Destination
			}
			w.Result = mustJSON(result)
		}
	}
	return w
}

// messageOf says in a sentence how a task stands.
func messageOf(t metadata.Task) string {
	switch {
	case t.Error != nil:
		text := string(t.Error.Code) + ": " + t.Error.Message
		if t.Error.Remedy != "" {
			text += " " + t.Error.Remedy
		}
		return text
	case t.Message != "":
		return t.Message
	case t.Status == metadata.TaskProcessing && t.Stage != "":
		return fmt.Sprintf("The import is at the step %s.", t.Stage)
	case t.Status != metadata.TaskSuccess:
		return ""
	}
	var res contract.ImportResult
	if json.Unmarshal(t.Result, &res) != nil || len(res.Images) == 0 {
		return "The task has done its work."
	}
	if res.Exported != nil {
		return exportMessage(*res.Exported)
	}
	var bytes int64
	for _, img := range res.Images {
		bytes += img.Size
	}
	if n := len(res.Images); n > 1 {
		return fmt.Sprintf("%d images are active, with %d bytes stored.", n, bytes)
	}
	return fmt.Sprintf("The image is active, with %d bytes stored as %s.", bytes, res.Images[0].DiskFormat)
}

func inputOf(taskType string, req contract.ImportRequest) json.RawMessage {
	if taskType == typeImport {
		return mustJSON(map[string]any{
			"import_from": req.Source.URL, "import_from_format": req.Source.Format, "image_properties": saidOf(req),
		})
	}
	if req.Method == contract.MethodExport && req.Destination != nil {
		return mustJSON(map[string]any{
			"image_id": req.ImageID, "export_to": req.Destination.URL, "export_to_format": req.Target.Format,
			"export_options": req.Target.Options, "credential": req.Destination.Credential, "overwrite": req.Destination.Overwrite,
		})
	}
	if req.Method == contract.MethodClone {
		return mustJSON(cloneTold(req))
	}
	call := map[string]any{"method": map[string]string{"name": methodDownload, "uri": req.Source.URL}}
	if req.Method != "" {
		call["method"] = map[string]string{"name": req.Method}
	}
	if len(req.Stores) > 0 {
		call["stores"] = req.Stores
	}
	if req.AllStores {
		call["all_stores"] = true
	}
	if req.AllStoresMustSucceed != nil {
		call["all_stores_must_succeed"] = *req.AllStoresMustSucceed
	}
	return mustJSON(map[string]any{"image_id": req.ImageID, "import_req": call})
}

// saidOf are the members of the image as a request has given them.
func saidOf(req contract.ImportRequest) map[string]any {
	out := map[string]any{}
	for name, value := range req.Image.Properties {
		out[name] = value
	}
	for name, value := range map[string]string{
		"name": req.Image.Name, "visibility": req.Image.Visibility,
		"container_format": req.Image.ContainerFormat, "disk_format": req.Target.Format,
	} {
		if value != "" {
			out[name] = value
		}
	}
	for name, n := range map[string]int64{"min_disk": req.Image.MinDisk, "min_ram": req.Image.MinRAM} {
		if n != 0 {
			out[name] = n
		}
	}
	if len(req.Image.Tags) > 0 {
		out["tags"] = req.Image.Tags
	}
	if req.Image.Protected {
		out["protected"] = true
	}
	return out
}
