package wire

// A Member is a project that an image is shared with.
type Member struct {
	Project   string `json:"member_id"`
	ImageID   string `json:"image_id"`
	Status    string `json:"status"` // "pending", "accepted" or "rejected"
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	Schema    string `json:"schema"`
}

// A MemberList is all members of an image that somebody may see.
type MemberList struct {
	Members []Member `json:"members"`
	Schema  string   `json:"schema"`
}
