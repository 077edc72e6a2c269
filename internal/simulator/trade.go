package simulator

import (
	"fmt"
	"strings"
)

// trade is a kind of goods: how they are called, in which forms they come.
type trade struct {
	name      string
	qualities []string // Before English names.
	things    []thing
	tags      []string
	vendors   []string
	options   []string
	values    [][]string
	// factors are the prices of the first option's values, in hundredths of the
	// first one's; a value without one costs the same.
	factors   []int
	low, high int // Price, in whole units.
	prefix    string
}

// thing is what is sold, under a name in a language.
type thing struct {
	name     string
	kind     string // The product's type.
	language string // Empty is English.
}

var trades = []trade{
	{
		name: "clothing", qualities: []string{"Organic", "Classic", "Slim", "Vintage", "Merino", "Linen", "Relaxed", "Striped"},
		things: []thing{{"T-Shirt", "Shirts", ""}, {"Jeans", "Trousers", ""}, {"Rain Jacket", "Jackets", ""}, {"Sneakers", "Shoes", ""}, {"Hoodie", "Shirts", ""},
			{"Cardigan", "Jackets", ""}, {"Chinos", "Trousers", ""}, {"Wool Socks 🧦", "Socks", ""}, {"Chemise à Carreaux", "Shirts", "fr"}, {"棉質襯衫", "Shirts", "zh"},
			{"Regenmantel", "Jackets", "de"}, {"Zapatillas de Lona", "Shoes", "es"}},
		tags: []string{"cotton", "summer", "winter", "unisex", "sale", "new"}, vendors: []string{"Northbound", "Maison Édith", "Loom & Thread"},
		options: []string{"Size", "Color"}, values: [][]string{{"XS", "S", "M", "L", "XL"}, {"Black", "Navy", "Forest Green", "Écru"}},
		low: 15, high: 180, prefix: "CLO",
	},
	{
		name: "hardware", qualities: []string{"Heavy Duty", "Compact", "Stainless", "Pro", "Cordless", "Galvanised"},
		things: []thing{{"Hammer", "Tools", ""}, {"Drill Bit Set", "Tools", ""}, {"Wood Screws ½\"", "Fasteners", ""}, {"Wall Anchors", "Fasteners", ""}, {"Pipe Wrench", "Tools", ""},
			{"Paint Roller", "Paint", ""}, {"Tape Measure (5 m)", "Tools", ""}, {"螺絲起子組", "Tools", "zh"}, {"Wandfarbe Weiß", "Paint", "de"}, {"Vis à Bois", "Fasteners", "fr"}},
		tags: []string{"workshop", "garden", "sale", "trade", "new"}, vendors: []string{"Ironwood", "Bolt Brothers", "Schäfer Werkzeuge"},
		options: []string{"Pack"}, values: [][]string{{"1", "2", "5", "10"}}, factors: []int{100, 190, 450, 850}, low: 3, high: 120, prefix: "HRD",
	},
	{
		name: "food", qualities: []string{"Single Origin", "Wild", "Smoked", "Raw", "Fair Trade", "Small Batch"},
		things: []thing{{"Coffee Beans", "Tea & Coffee", ""}, {"Honey", "Pantry", ""}, {"Sea Salt", "Pantry", ""}, {"🌶️ Hot Sauce", "Pantry", ""}, {"Dark Chocolate 85 %", "Sweets", ""},
			{"Jalapeño Jam", "Pantry", ""}, {"Crème de Marrons", "Sweets", "fr"}, {"高山烏龍茶", "Tea & Coffee", "zh"}, {"Lebkuchen", "Sweets", "de"}, {"抹茶", "Tea & Coffee", "ja"}},
		tags: []string{"vegan", "organic", "gift", "sale", "gluten-free"}, vendors: []string{"Field & Hive", "茶與山", "Épicerie Lumière"},
		options: []string{"Weight"}, values: [][]string{{"100 g", "250 g", "1 kg"}}, factors: []int{100, 230, 820}, low: 4, high: 25, prefix: "FOO",
	},
	{
		name: "books", qualities: []string{"The Secret of", "A Short History of", "Notes on", "The Art of", "Learning", "Beyond"},
		things: []thing{{"Gardens", "Books", ""}, {"Typography", "Books", ""}, {"the Sea", "Books", ""}, {"Bread", "Books", ""}, {"Mountains", "Books", ""},
			{"Ordinary Things", "Books", ""}, {"書法入門", "Books", "zh"}, {"Señor Nadie", "Books", "es"}, {"Petite Histoire du Pain", "Books", "fr"}, {"Das Meer bei Nacht", "Books", "de"}},
		tags: []string{"fiction", "non-fiction", "gift", "classic", "new"}, vendors: []string{"Paper Lantern Press", "Édition du Nord", "城市出版"},
		options: []string{"Format"}, values: [][]string{{"Paperback", "Hardcover", "E-book"}}, factors: []int{100, 170, 65}, low: 6, high: 45, prefix: "BOO",
	},
	{
		name: "beauty", qualities: []string{"Gentle", "Vitamin C", "Rosé", "Unscented", "Night", "Mineral"},
		things: []thing{{"Face Cream", "Skin Care", ""}, {"Shampoo Bar", "Hair", ""}, {"Lip Balm 💄", "Skin Care", ""}, {"Sunscreen SPF 50+", "Skin Care", ""}, {"Hair Oil", "Hair", ""},
			{"Eau de Parfum", "Fragrance", "fr"}, {"保濕面膜", "Skin Care", "zh"}, {"Körperöl", "Skin Care", "de"}, {"مرطب اليدين", "Skin Care", "ar"}},
		tags: []string{"vegan", "cruelty-free", "travel-size", "sale", "new", "gift"}, vendors: []string{"Atelier Brume", "Kōri Skin", "Salt & Sage"},
		options: []string{"Size", "Scent"}, values: [][]string{{"30 ml", "50 ml", "100 ml", "250 ml"}, {"None", "Bergamot", "Yuzu 柚子", "Fleur d’Oranger"}},
		factors: []int{100, 150, 260, 560}, low: 5, high: 60, prefix: "BEA",
	},
	{
		name: "electronics", qualities: []string{"Wireless", "USB-C", "Foldable", "Rugged", "Quiet", "2nd Gen"},
		things: []thing{{"Headphones", "Audio", ""}, {"Charger 65 W", "Power", ""}, {"Desk Lamp", "Smart Home", ""}, {"Mechanical Keyboard ⌨️", "Computers", ""}, {"Power Bank", "Power", ""},
			{"HDMI Cable 2.1", "Cables", ""}, {"Speaker", "Audio", ""}, {"Лампа настольная", "Smart Home", "ru"}, {"モニターアーム", "Computers", "ja"}},
		tags: []string{"refurbished", "warranty-2y", "sale", "new", "b2b"}, vendors: []string{"Volt & Ohm", "Kestrel Audio", "深圳電子"},
		options: []string{"Color", "Plug"}, values: [][]string{{"Graphite", "White", "Signal Red", "Clear", "Midnight"}, {"EU", "UK", "US", "JP"}},
		low: 8, high: 420, prefix: "ELC",
	},
	{
		name: "home", qualities: []string{"Hand-Thrown", "Oak", "Recycled", "Nordic", "Enamel", "Stoneware"},
		things: []thing{{"Mug", "Kitchen", ""}, {"Serving Bowl", "Kitchen", ""}, {"Pendant Lamp", "Lighting", ""}, {"Plant Pot 🌿", "Plants", ""}, {"Cutting Board", "Kitchen", ""},
			{"Candle Holder", "Lighting", ""}, {"Übertopf", "Plants", "de"}, {"Tapis Berbère", "Rugs", "fr"}, {"茶碗", "Kitchen", "ja"}},
		tags: []string{"handmade", "fragile", "oversize", "sale", "new", "gift"}, vendors: []string{"Hearth & Hollow", "Ørsted Hjem", "Casa Niña"},
		options: []string{"Size", "Finish"}, values: [][]string{{"Small", "Medium", "Large", "Extra Large"}, {"Matte", "Glazed", "Raw", "Walnut"}},
		factors: []int{100, 140, 190, 260}, low: 9, high: 160, prefix: "HOM",
	},
	{
		name: "toys", qualities: []string{"Wooden", "Giant", "Glow-in-the-Dark", "Mini", "Magnetic"},
		things: []thing{{"Train Set 🚂", "Games", ""}, {"Puzzle (1,000 pcs)", "Puzzles", ""}, {"Dinosaur", "Plush", ""}, {"Board Game", "Games", ""}, {"Kite", "Outdoor", ""},
			{"Bauklötze", "Games", "de"}, {"칠교놀이", "Puzzles", "ko"}, {"Ourson", "Plush", "fr"}},
		tags: []string{"ages-3+", "ages-8+", "plastic-free", "sale", "new", "gift"}, vendors: []string{"Pebble & Pine", "Spielwerk", "Little Otter"},
		options: []string{"Edition"}, values: [][]string{{"Standard", "Deluxe", "Travel", "Collector’s"}}, factors: []int{100, 160, 70, 320}, low: 4, high: 70, prefix: "TOY",
	},
}

// usualTrades are those of a shop of which nothing else is said.
var usualTrades = trades[:4]

// Trades are the names that Catalogue.Goods takes.
func Trades() []string { return each(trades, func(t trade) string { return t.name }) }

// drawer draws from a source of chance.
type drawer interface{ IntN(int) int }

func drawn[T any](rng drawer, list []T) T { return list[rng.IntN(len(list))] }

// title is a name for one of a trade's things. Those in English have a quality;
// most bear the name of their series, so that a large shop does not repeat
// itself.
func (t trade) title(rng drawer) (thing, string) {
	what := drawn(rng, t.things)
	title := what.name
	if what.language == "" {
		title = drawn(rng, t.qualities) + " " + title
	}
	if rng.IntN(8) > 0 {
		title += " " + drawn(rng, seriesHeads) + drawn(rng, seriesMiddles) + drawn(rng, seriesTails)
	}
	return what, title
}

// Names of series are put together from these: some thousands of them.
var (
	seriesHeads   = []string{"Al", "Bre", "Ca", "Dor", "El", "Fen", "Gal", "Hol", "Is", "Jor", "Kel", "Lun", "Mar", "Nor", "Or", "Pel", "Ro", "Sol", "Tor", "Ul", "Ves", "Wil", "Ys", "Zan"}
	seriesMiddles = []string{"a", "be", "da", "e", "gi", "i", "la", "me", "no", "o", "ra", "si", "ti", "ve"}
	seriesTails   = []string{"ck", "dal", "len", "lis", "mont", "n", "nde", "ra", "rd", "ron", "ssa", "th", "va", "wick"}
)

// price is what a form costs whose first option has a value, if the first value costs base.
func (t trade) price(base Money, value string) Money {
	for at, known := range t.values[0] {
		if known == value && at < len(t.factors) {
			whole := base * Money(t.factors[at]) / 100
			return whole/100*100 + base%100 // Prices of a kind end alike.
		}
	}
	return base
}

// prose is how a language speaks of goods: a sentence with the title and the
// vendor, and what a list may say of them.
type prose struct {
	sentence string
	points   []string
	item     string
}

var proses = map[string]prose{
	"": {"%s by <strong>%s</strong>.", []string{"Made to last &amp; easy to care for", "Checked by hand before it leaves us", "Ships in plain cardboard, no plastic",
		"Two years&rsquo; guarantee", "A favourite of our own staff", "Limited run: when it&rsquo;s gone, it&rsquo;s gone", "Sourced from three small workshops"}, "Item no."},
	"fr": {"%s par <strong>%s</strong>.", []string{"Facile d&rsquo;entretien et fait pour durer", "Vérifié à la main", "Emballage sans plastique", "Garantie deux ans"}, "Réf."},
	"de": {"%s von <strong>%s</strong>.", []string{"Pflegeleicht und für die Ewigkeit gemacht", "Von Hand geprüft", "Plastikfrei verpackt", "Zwei Jahre Garantie"}, "Art.-Nr."},
	"es": {"%s de <strong>%s</strong>.", []string{"Fácil de cuidar y hecho para durar", "Revisado a mano", "Embalaje sin plástico", "Dos años de garantía"}, "Ref."},
	"zh": {"<strong>%[2]s</strong> 的 %[1]s。", []string{"耐用且易於保養", "出貨前逐件檢查", "無塑包裝", "兩年保固"}, "貨號"},
	"ja": {"<strong>%[2]s</strong>の%[1]s。", []string{"長く使えてお手入れも簡単", "一点ずつ検品しています", "プラスチックを使わない包装", "二年保証"}, "商品番号"},
	"ko": {"<strong>%[2]s</strong>의 %[1]s.", []string{"오래 쓰고 관리하기 쉽습니다", "하나씩 손으로 검사합니다", "플라스틱 없는 포장"}, "상품 번호"},
	"ru": {"%s от <strong>%s</strong>.", []string{"Прослужит долго, легко ухаживать", "Проверено вручную", "Упаковка без пластика"}, "Артикул"},
	"ar": {"%s من <strong>%s</strong>.", []string{"يدوم طويلاً وسهل العناية", "يُفحص يدوياً", "تغليف خالٍ من البلاستيك"}, "رقم المنتج"},
}

// description is what the n-th product's page says, in the language of its name.
func description(rng drawer, what thing, title, vendor string, n int) string {
	p := proses[what.language]
	var b strings.Builder
	fmt.Fprintf(&b, "<p>"+p.sentence+"</p>\n<ul>", title, vendor)
	first := rng.IntN(len(p.points))
	for i := range 1 + rng.IntN(3) {
		b.WriteString("<li>" + p.points[(first+i)%len(p.points)] + "</li>")
	}
	fmt.Fprintf(&b, "<li>%s %d</li></ul>", p.item, n+1)
	return b.String()
}
