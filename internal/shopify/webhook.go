package shopify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
)

// TopicClass says who a topic is for.
type TopicClass string

const (
	// ClassData topics tell of a change of what is mirrored; they have a Decode.
	ClassData TopicClass = "data"
	// ClassLifecycle topics tell of the app's own standing at the shop.
	ClassLifecycle TopicClass = "lifecycle"
	// ClassCompliance topics are duties towards people's data. They cannot be
	// subscribed to: the app's configuration names their address.
	ClassCompliance TopicClass = "compliance"
)

// Topic is a webhook topic that the service knows.
type Topic struct {
	Name  string // As in X-Shopify-Topic: products/update.
	Enum  string // As in GraphQL: PRODUCTS_UPDATE.
	Class TopicClass

	// Scopes: any one of them is enough to subscribe; none is needed where empty.
	Scopes []string

	// IncludeFields restricts the bodies; empty for whole ones.
	IncludeFields []string

	// Protected topics carry customer data: Shopify must have approved the app.
	Protected bool

	// Decode reads a body whose sender and shop are proved; nil for other
	// classes than ClassData.
	Decode func(Delivery) (Heard, error)
}

// Delivery is one webhook as it was received. Times are on Shopify's clock.
type Delivery struct {
	Topic       string
	Body        []byte
	TriggeredAt mirror.Instant // From X-Shopify-Triggered-At, which is not signed; zero for none.
	ReceivedAt  mirror.Instant
}

// AsOf is when the delivery's content was true at the latest that is known. A
// trigger after the receipt is not believed.
func (d Delivery) AsOf() mirror.Instant {
	if d.TriggeredAt == 0 {
		return d.ReceivedAt
	}
	return min(d.TriggeredAt, d.ReceivedAt)
}

// Heard is what a delivery says, and what it leaves to be read.
type Heard struct {
	Observations []mirror.Observation
	Demands      []mirror.Demand
}

// ErrUnknownTopic says that nobody here knows the topic.
var ErrUnknownTopic = errors.New("unknown webhook topic")

var topics = map[string]Topic{}

// registerTopic is called by the file of each resource for its own.
func registerTopic(topic Topic) Topic {
	if _, taken := topics[topic.Name]; taken {
		panic(fmt.Sprintf("shopify: topic %s is registered twice", topic.Name))
	}
	topic.Enum = strings.ToUpper(strings.ReplaceAll(topic.Name, "/", "_"))
	if topic.Class == "" {
		topic.Class = ClassData
	}
	topics[topic.Name] = topic
	return topic
}

// Topics lists every topic by name.
func Topics() []Topic {
	all := make([]Topic, 0, len(topics))
	for _, topic := range topics {
		all = append(all, topic)
	}
	slices.SortFunc(all, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TopicNamed looks a topic up by its name.
func TopicNamed(name string) (Topic, bool) {
	topic, ok := topics[name]
	return topic, ok
}

// Decode reads a delivery whose signature and shop are proved. An error says
// that the body is not what Shopify documents, or ErrUnknownTopic; nothing is to
// be believed of it then.
func Decode(d Delivery) (Heard, error) {
	topic, ok := topics[d.Topic]
	if !ok || topic.Decode == nil {
		return Heard{}, fmt.Errorf("decode %q: %w", d.Topic, ErrUnknownTopic)
	}
	heard, err := topic.Decode(d)
	if err != nil {
		return Heard{}, fmt.Errorf("decode %s: %w", d.Topic, err)
	}
	believed := heard.Observations[:0]
	for _, o := range heard.Observations {
		if o.FromFuture() {
			read := mirror.InfoOf(o.Key.Kind).Read
			heard.Demands = append(heard.Demands, mirror.Demand{Read: read, ID: o.Key.ID, AsOf: d.ReceivedAt})
			continue
		}
		believed = append(believed, o)
	}
	heard.Observations = believed
	return heard, nil
}

// DecodeClaim reads a delivery whose body is signed but whose shop is only
// claimed by an unsigned header. What it names is to be read by id, where a
// false claim finds nothing or finds it as it is; its content is not believed.
func DecodeClaim(d Delivery) ([]mirror.Demand, error) {
	heard, err := Decode(d)
	if err != nil {
		return nil, err
	}
	var demands []mirror.Demand
	for _, o := range heard.Observations {
		if o.Key.Kind == mirror.KindProductVariant {
			continue // Its product's read answers with it.
		}
		demands = append(demands, mirror.Demand{Read: mirror.InfoOf(o.Key.Kind).Read, ID: o.Key.ID, AsOf: d.ReceivedAt})
	}
	for _, demand := range heard.Demands {
		demand.Updated, demand.AsOf = 0, d.ReceivedAt.Add(demand.Delay)
		demands = append(demands, demand)
	}
	slices.SortFunc(demands, func(a, b mirror.Demand) int {
		if a.Read != b.Read {
			return strings.Compare(string(a.Read), string(b.Read))
		}
		if a.ID != b.ID {
			return strings.Compare(string(a.ID), string(b.ID))
		}
		return int(a.Delay - b.Delay)
	})
	return slices.Compact(demands), nil
}

// ClaimBody reduces a body that carries customer data to what DecodeClaim reads
// of it: the ids. The rest is not believed, so it need not be kept.
func ClaimBody(body []byte) ([]byte, error) {
	var ids struct {
		ID        json.RawMessage `json:"id,omitempty"`
		GID       json.RawMessage `json:"admin_graphql_api_id,omitempty"`
		OrderEdit *struct {
			OrderID json.RawMessage `json:"order_id"`
		} `json:"order_edit,omitempty"`
	}
	if err := json.Unmarshal(body, &ids); err != nil {
		return nil, fmt.Errorf("reduce a body to its ids: %w", err)
	}
	return json.Marshal(ids)
}

// listener gathers what a delivery says.
type listener struct {
	Heard
	d      Delivery
	fields map[string]json.RawMessage
}

// listen decodes a body into its type. It also keeps the fields by name, so that
// a body which lacks one is told from one where it is empty.
func listen(d Delivery, into any) (*listener, error) {
	l := &listener{d: d}
	if err := json.Unmarshal(d.Body, &l.fields); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if l.fields == nil {
		return nil, errors.New("body is null")
	}
	if err := json.Unmarshal(d.Body, into); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return l, nil
}

// has reports whether the body holds all the fields. A subscription made
// elsewhere may leave some out; such a body is no whole record.
func (l *listener) has(fields ...string) bool {
	for _, field := range fields {
		if _, ok := l.fields[field]; !ok {
			return false
		}
	}
	return true
}

func (l *listener) present(id mirror.GID, content mirror.Content) error {
	o, err := mirror.Present(id, content, mirror.FromWebhook, l.d.AsOf(), l.d.ReceivedAt)
	if err != nil {
		return err
	}
	l.Observations = append(l.Observations, o)
	return nil
}

// absent observes a deletion at a moment, which is not believed to lie after
// the receipt.
func (l *listener) absent(kind mirror.Kind, id mirror.GID, at mirror.Instant) {
	o := mirror.Absent(mirror.Key{Kind: kind, ID: id}, mirror.FromWebhook, min(at, l.d.ReceivedAt), l.d.ReceivedAt)
	l.Observations = append(l.Observations, o)
}

// demand asks for a read that shows at least this updatedAt. One from the
// future is not asked for: no read would ever reach it.
func (l *listener) demand(read mirror.Read, id mirror.GID, updated mirror.Time) {
	least := mirror.At(updated.Time)
	if least > l.d.ReceivedAt.Add(mirror.FutureLimit) {
		least = 0
	}
	l.Demands = append(l.Demands, mirror.Demand{Read: read, ID: id, Updated: least, AsOf: l.d.AsOf()})
}

// demandTwice asks for a read now and for one more when Shopify's own derived
// totals have caught up.
func (l *listener) demandTwice(read mirror.Read, id mirror.GID, updated mirror.Time) {
	l.demand(read, id, updated)
	l.Demands = append(l.Demands, mirror.Demand{
		Read: read, ID: id, AsOf: l.d.AsOf().Add(mirror.LagDelay), Delay: mirror.LagDelay,
	})
}

// gid makes an id of the number in a body. Bodies hold ids as JSON integers
// beyond 2^53, so they are never floats here.
func gid(object string, number int64) (mirror.GID, error) {
	if number <= 0 {
		return "", fmt.Errorf("no id of a %s", object)
	}
	return mirror.NewGID(object, number), nil
}

// tagsOf turns the comma separated string of webhooks into GraphQL's list.
func tagsOf(text string) []string {
	var tags []string
	for tag := range strings.SplitSeq(text, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return mirror.SortedStrings(tags)
}

// Named lists the ids that a delivery's body tells of, or asks to be read. Of
// one that cannot be decoded it is what the body calls its own id.
func Named(d Delivery) []mirror.GID {
	heard, err := Decode(d)
	ids := make([]mirror.GID, 0, len(heard.Observations)+len(heard.Demands))
	if err != nil {
		var body struct {
			GID mirror.GID `json:"admin_graphql_api_id"`
			ID  int64      `json:"id"`
		}
		_ = json.Unmarshal(d.Body, &body) // What can be read of it is there all the same.
		if body.GID != "" {
			ids = append(ids, body.GID)
		}
		if object := objectOf[strings.Split(d.Topic, "/")[0]]; object != "" && body.ID > 0 {
			ids = append(ids, mirror.NewGID(object, body.ID))
		}
		return ids
	}
	for _, o := range heard.Observations {
		ids = append(ids, o.Key.ID)
	}
	for _, demand := range heard.Demands {
		ids = append(ids, demand.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// objectOf names the object whose number a topic's body has for its id.
var objectOf = map[string]string{"products": "Product", "inventory_items": "InventoryItem", "locations": "Location",
	"collections": "Collection", "orders": "Order", "shop": "Shop"}
