package schema

// Provenance is where the values of a customer's fields came from: the origins
// that at least one field has, and which field has which. Fields that are not
// named have the first, which is that of the record itself. No value is in it.
type Provenance struct {
	Origins []Origin       `json:"o"`
	Fields  map[string]int `json:"f,omitempty"` // by name, custom fields as custom_fields.key
}

// Origin is one write that gave fields their values.
type Origin struct {
	Channel string `json:"c"`
	At      int64  `json:"t"`           // Unix seconds
	By      string `json:"b,omitempty"` // kind and id of who wrote it: staff:…, member:…, api_key:…, system
	Via     string `json:"v,omitempty"` // import:… or form:… with the id of what brought it
	Consent bool   `json:"n,omitempty"` // a text to consent to was shown
}
