package contract

import "strconv"

// ControlSignal tells a running workflow how its task is to be worked on; see Control.
const ControlSignal = "control"

// Priorities of tasks. Of those that wait, the one with the highest goes first.
const (
	MinPriority     = 0
	DefaultPriority = 5
	MaxPriority     = 9
)

// A Control is how a task is to be worked on. It is the body of ControlSignal. The
// catalogue numbers the changes, so that signals may come late and out of order.
type Control struct {
	Revision int64 `json:"revision"`
	// Paused lets the task's work stand still at its next resume point.
	Paused   bool `json:"paused"`
	Priority int  `json:"priority"` // MinPriority to MaxPriority
}

// PriorityKey is a priority as the workflow service has it: 1 goes first, 5 last, and two
// of ours are one of its. 0 stands for the service's own default, which is the third.
func PriorityKey(priority int) int {
	if key := 5 - min(max(priority, MinPriority), MaxPriority)/2; key != 3 {
		return key
	}
	return 0
}

// checkPriority checks a request's priority.
func checkPriority(p *int) error {
	if p != nil && (*p < MinPriority || *p > MaxPriority) {
		return badField("priority", "is "+strconv.Itoa(*p)+", and not between "+strconv.Itoa(MinPriority)+" and "+strconv.Itoa(MaxPriority))
	}
	return nil
}

// Urgency is the priority that a request asks for.
func (r ImportRequest) Urgency() int {
	if r.Priority == nil {
		return DefaultPriority
	}
	return *r.Priority
}
