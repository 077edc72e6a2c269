package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What becomes of a merchant's requests about a customer's data. Source:
// "Privacy law compliance" (2026-11). That page withholds an erasure for six
// months after the customer's last order. The published description of the
// topic says 60 days instead, and the help center 180: the page is followed.
const (
	erasureGrace  = 10 * 24 * time.Hour
	erasureMonths = 6
)

const typeCustomer = "Customer"

// firstCustomer is where the numbers of customers begin.
const firstCustomer = 7_000_000_000_000

// buyer is a customer's data. The simulator keeps none: it is made up from the
// customer's number, the same each time.
type buyer struct {
	email, phone, first, last, street string
}

func buyerOf(customer int64) buyer {
	n := customer - firstCustomer
	return buyer{fmt.Sprintf("buyer%d@example.com", n), fmt.Sprintf("+1555%07d", n), "Robin", fmt.Sprintf("Buyer %d", n),
		fmt.Sprintf("%d Elm Street", n)}
}

// erasure is what a merchant asked for and is not done yet.
type erasure struct {
	Due  time.Time
	Held []string // Client ids of the apps that might hold the data when it was asked for.
}

// CustomerOf is the number of the customer who made an order.
func (s *Shop) CustomerOf(order int64) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.Orders.Get(order)
	if !ok {
		return 0, missing(typeOrder, order)
	}
	return o.Customer, nil
}

// ordersOf are a customer's orders, by number, but for those that were redacted.
func (s *Shop) ordersOf(customer int64) []*Order {
	var out []*Order
	for o := range s.Orders.All() {
		if o.Customer == customer && !o.Redacted {
			out = append(out, o)
		}
	}
	return out
}

// RequestCustomerData asks for what is held of a customer, as a merchant does
// in the shop's admin: apps that may read customers or orders are told by
// customers/data_request. It returns the request's number.
func (s *Shop) RequestCustomerData(customer int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	orders := s.ordersOf(customer)
	if len(orders) == 0 {
		return 0, missing(typeCustomer, customer)
	}
	id := s.sim.next()
	body := s.complianceBody(customer)
	body["orders_requested"] = orderIDs(orders)
	body["data_request"] = map[string]any{"id": id}
	e := s.newEvent()
	for _, i := range s.holders() {
		i.post(e, 0, "customers/data_request", gid(typeCustomer, customer), func(sendOptions) map[string]any { return body })
	}
	return id, nil
}

// EraseCustomer has a customer's data erased, as a merchant asks for it in the
// shop's admin, and returns when that will be: ten days later, or half a year
// after the customer's last order where that is later. A customer who orders
// meanwhile puts it off again. Then orders no longer show the customer's data,
// and customers/redact goes to the apps that may read customers or orders, and
// to those that might when it was asked for. To ask again changes nothing.
func (s *Shop) EraseCustomer(customer int64) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	orders := s.ordersOf(customer)
	if len(orders) == 0 {
		return time.Time{}, missing(typeCustomer, customer)
	}
	if asked := s.erasures[customer]; asked != nil {
		return asked.Due, nil
	}
	now := s.now()
	due := now.Add(erasureGrace)
	if free := unwithheld(orders); free.After(due) {
		due = free
	}
	if s.erasures == nil {
		s.erasures = make(map[int64]*erasure)
	}
	s.erasures[customer] = &erasure{due, each(s.holders(), func(i *Installation) string { return i.App.ClientID })}
	s.eraseAfter(due.Sub(now), customer)
	return due, nil
}

func (s *Shop) eraseAfter(wait time.Duration, customer int64) {
	s.sim.hooks.errand(wait, false, func(context.Context) bool {
		s.erase(customer)
		return true
	})
}

// erase does what EraseCustomer planned.
func (s *Shop) erase(customer int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	orders, asked := s.ordersOf(customer), s.erasures[customer]
	if free := unwithheld(orders); free.After(asked.Due) { // They have ordered meanwhile.
		s.eraseAfter(free.Sub(asked.Due), customer)
		asked.Due = free
		return
	}
	delete(s.erasures, customer)
	body := s.complianceBody(customer)
	body["orders_to_redact"] = orderIDs(orders)
	for _, o := range orders {
		o.Redacted = true
	}
	apps := s.holders()
	for _, clientID := range asked.Held {
		if i := s.Installation(clientID); !slices.Contains(apps, i) {
			apps = append(apps, i)
		}
	}
	e := s.newEvent()
	for _, i := range apps {
		i.post(e, 0, "customers/redact", gid(typeCustomer, customer), func(sendOptions) map[string]any { return body })
	}
}

// unwithheld is from when on orders no longer withhold an erasure; the zero
// time where there are none.
func unwithheld(orders []*Order) time.Time {
	if len(orders) == 0 {
		return time.Time{}
	}
	last := slices.MaxFunc(orders, func(a, b *Order) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return last.CreatedAt.AddDate(0, erasureMonths, 0)
}

// holders are the installed apps that may read customers or orders.
func (s *Shop) holders() []*Installation {
	return slices.DeleteFunc(s.installed(), func(i *Installation) bool {
		access := Access{Scopes: i.Scopes()}
		return !access.Allows("read_customers") && !access.Allows("read_orders")
	})
}

// complianceBody is what both topics about customers say.
func (s *Shop) complianceBody(customer int64) map[string]any {
	b := buyerOf(customer)
	return map[string]any{
		"shop_id": s.ID, "shop_domain": s.Domain,
		"customer": map[string]any{"id": customer, "email": b.email, "phone": b.phone},
	}
}

func orderIDs(orders []*Order) []int64 {
	out := make([]int64, 0, len(orders))
	for _, o := range orders {
		out = append(out, o.ID)
	}
	return out
}

// askAboutCustomer carries out a request of the control API.
func (s *Shop) askAboutCustomer(what string, r io.Reader) (map[string]any, error) {
	customer, err := s.readCustomer(r)
	if err != nil {
		return nil, err
	}
	if what == "data_request" {
		id, err := s.RequestCustomerData(customer)
		return map[string]any{"customer": customer, "data_request": id}, err
	}
	due, err := s.EraseCustomer(customer)
	return map[string]any{"customer": customer, "due": due}, err
}

// readCustomer reads from a control request which customer is meant: by
// number, or by one of their orders. Either may be spelt as a number, in a
// text or not, or as a gid; an order also by its name, like #1001.
func (s *Shop) readCustomer(r io.Reader) (int64, error) {
	var body struct {
		Customer spelledID `json:"customer"`
		Order    spelledID `json:"order"`
	}
	if err := json.NewDecoder(r).Decode(&body); err != nil {
		return 0, fmt.Errorf("which customer: %w", err)
	}
	switch {
	case body.Customer != "" && body.Order == "":
		return body.Customer.number(typeCustomer)
	case body.Order == "" || body.Customer != "":
		return 0, errors.New("which customer: send either customer or order")
	}
	if strings.HasPrefix(string(body.Order), "#") {
		s.mu.RLock()
		defer s.mu.RUnlock()
		for o := range s.Orders.All() {
			if o.Name == string(body.Order) {
				return o.Customer, nil
			}
		}
		return 0, fmt.Errorf("%s %s: %w", typeOrder, body.Order, ErrNotFound)
	}
	id, err := body.Order.number(typeOrder)
	if err != nil {
		return 0, err
	}
	return s.CustomerOf(id)
}

// spelledID is an id as a caller spelt it. Numbers are taken as texts, too:
// those of orders are longer than many languages' numbers can be.
type spelledID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *spelledID) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*id = spelledID(text)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*id = spelledID(n)
	return nil
}

func (id spelledID) number(kind string) (int64, error) {
	text := string(id)
	if found, n, _, ok := parseGID(text); ok && found == kind {
		return n, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no %s's number or gid", text, strings.ToLower(kind))
	}
	return n, nil
}

// personal are the parts of an order's body that are about its customer.
func (s *Shop) personal(o *Order) map[string]any {
	if o.Redacted {
		return map[string]any{
			"email": "", "contact_email": nil, "billing_address": nil, "shipping_address": nil,
			"customer": map[string]any{
				"id": o.Customer, "admin_graphql_api_id": gid(typeCustomer, o.Customer), "first_name": nil, "last_name": nil,
				"email": nil, "phone": nil, "state": "disabled", "note": nil, "verified_email": false, "multipass_identifier": nil,
				"tax_exempt": false, "tax_exemptions": []any{}, "currency": o.Currency,
				"created_at": s.local(o.CreatedAt), "updated_at": s.local(o.UpdatedAt),
			},
		}
	}
	b, at := buyerOf(o.Customer), placeOf(s.Country, s.Currency)
	address := func() map[string]any {
		return map[string]any{
			"first_name": b.first, "last_name": b.last, "name": b.first + " " + b.last, "address1": b.street, "address2": nil,
			"company": nil, "city": at.city, "zip": at.zip, "province": "", "province_code": "",
			"country": countryName(s.Country), "country_code": s.Country, "phone": b.phone, "latitude": nil, "longitude": nil,
		}
	}
	home := address()
	delete(home, "latitude")
	delete(home, "longitude")
	home["id"], home["customer_id"], home["country_name"], home["default"] = o.Customer+1, o.Customer, countryName(s.Country), true
	return map[string]any{
		"email": b.email, "contact_email": b.email, "billing_address": address(), "shipping_address": address(),
		"customer": map[string]any{
			"id": o.Customer, "admin_graphql_api_id": gid(typeCustomer, o.Customer), "first_name": b.first, "last_name": b.last,
			"email": b.email, "phone": nil, "state": "disabled", "note": nil, "verified_email": true, "multipass_identifier": nil,
			"tax_exempt": false, "tax_exemptions": []any{}, "currency": o.Currency,
			"created_at": s.local(o.CreatedAt), "updated_at": s.local(o.CreatedAt), "default_address": home,
		},
	}
}
