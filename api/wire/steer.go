package wire

import "time"

// Priority is the body of PUT /v1/tasks/{id}/priority.
type Priority struct {
	Priority *int `json:"priority"` // 0 to 9; of those that wait, the highest goes first
}

// NewWebhook is the body of POST /v1/webhooks.
type NewWebhook struct {
	URL         string   `json:"url"`              // https, or http where the operator admits the address
	Events      []string `json:"events,omitempty"` // left out: task.success and task.failure
	Secret      string   `json:"secret,omitempty"` // left out: the server makes one
	Description string   `json:"description,omitempty"`
}

// A Webhook is an address that is told of what happens to a project's tasks.
type Webhook struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Events         []string   `json:"events"`
	Description    string     `json:"description,omitempty"`
	Enabled        bool       `json:"enabled"`
	FailingSince   *time.Time `json:"failing_since,omitempty"` // it has taken no notice since
	DisabledAt     *time.Time `json:"disabled_at,omitempty"`
	DisabledReason string     `json:"disabled_reason,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	// Secret is told once, by the answer to POST.
	Secret string `json:"secret,omitempty"`
	// Deliveries are the last ones, the newest first, where a single webhook is shown.
	Deliveries []Delivery `json:"deliveries,omitempty"`
}

// A WebhookList answers GET /v1/webhooks.
type WebhookList struct {
	Webhooks []Webhook `json:"webhooks"`
}

// A Delivery is one notice for one webhook.
type Delivery struct {
	ID         string     `json:"id"` // also in the notice
	Event      string     `json:"event"`
	TaskID     string     `json:"task_id,omitempty"`
	Status     string     `json:"status"` // "pending", "delivered", "failed"
	Attempts   int        `json:"attempts"`
	HTTPStatus int        `json:"http_status,omitempty"` // of the last answer
	Error      string     `json:"error,omitempty"`       // of the last attempt
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	NextAt     *time.Time `json:"next_at,omitempty"` // while it is pending
}
