package v1

import (
	"encoding/json"
	"math/big"
	"strings"
)

// Decimal is a decimal number as text, kept as the user wrote it. A JSON number becomes the text of
// the same number in plain notation.
type Decimal string

func (d *Decimal) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*d = Decimal(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	*d = Decimal(plainText(number))
	return nil
}

// Quantity is a Kubernetes quantity as the user wrote it: text, or a whole number without quotes.
// resource.Quantity would turn "0.5" into "500m", and a GitOps tool would see drift.
type Quantity struct {
	Text   string
	Number bool
}

func (q *Quantity) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		q.Number = false
		return json.Unmarshal(data, &q.Text)
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	q.Text = plainText(number)
	_, err := number.Int64()
	q.Number = err == nil
	return nil
}

func (q Quantity) MarshalJSON() ([]byte, error) {
	if q.Number {
		return []byte(q.Text), nil
	}
	return json.Marshal(q.Text)
}

// plainText has no exponent and no trailing zeros: 1e3 is 1000, 2.50 is 2.5.
func plainText(number json.Number) string {
	text := number.String()
	if strings.ContainsAny(text, "eE") {
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			return text
		}
		text = exact.FloatString(30)
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
