package v1

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// Number is a decimal or a Kubernetes quantity as the user wrote it: text, or a whole number without
// quotes. A fraction without quotes becomes the text of the same number in plain notation.
// resource.Quantity would turn "0.5" into "500m", and a GitOps tool would see drift.
type Number struct {
	Text  string
	Whole bool
	// Fraction is one without quotes. A defaulter resets it: controller-runtime makes no patch for an
	// object that the defaulter did not change.
	Fraction bool
}

// Both are written in the same two ways.
type (
	Decimal  = Number
	Quantity = Number
)

func (n *Number) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		n.Whole, n.Fraction = false, false
		return json.Unmarshal(data, &n.Text)
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	n.Text = plainText(number)
	_, err := number.Int64()
	n.Whole, n.Fraction = err == nil, err != nil
	return nil
}

func (n Number) MarshalJSON() ([]byte, error) {
	if n.Whole {
		return []byte(n.Text), nil
	}
	return json.Marshal(n.Text)
}

func (n Number) String() string { return n.Text }

// Written is the value as JSON has it, for messages.
func (n Number) Written() any {
	if whole, err := strconv.ParseInt(n.Text, 10, 64); n.Whole && err == nil {
		return whole
	}
	return n.Text
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
