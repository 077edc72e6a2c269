package simulator

import (
	"slices"
	"time"
)

// place is where shops of a country are, roughly: enough for addresses and for
// a time zone that goes with the money.
type place struct {
	country  string // ISO 3166 alpha-2.
	name     string // In English.
	currency string // ISO 4217; the first country of a currency stands for it.
	timezone string // IANA.
	city     string
	zip      string
	street   string
}

var places = []place{
	{"US", "United States", "USD", "America/New_York", "Springfield", "12345", "1 Market Street"},
	{"DE", "Germany", "EUR", "Europe/Berlin", "Köln", "50667", "Marktstraße 1"},
	{"FR", "France", "EUR", "Europe/Paris", "Lyon", "69001", "1 rue du Marché"},
	{"ES", "Spain", "EUR", "Europe/Madrid", "Sevilla", "41001", "Calle del Mercado 1"},
	{"IT", "Italy", "EUR", "Europe/Rome", "Bologna", "40121", "Via del Mercato 1"},
	{"NL", "Netherlands", "EUR", "Europe/Amsterdam", "Utrecht", "3511 AA", "Marktstraat 1"},
	{"AT", "Austria", "EUR", "Europe/Vienna", "Graz", "8010", "Marktgasse 1"},
	{"IE", "Ireland", "EUR", "Europe/Dublin", "Cork", "T12 AA00", "1 Market Street"},
	{"GB", "United Kingdom", "GBP", "Europe/London", "Leeds", "LS1 1AA", "1 Market Street"},
	{"JP", "Japan", "JPY", "Asia/Tokyo", "京都市", "600-8001", "市場町1-1"},
	{"CA", "Canada", "CAD", "America/Toronto", "Hamilton", "L8P 1A1", "1 Market Street"},
	{"AU", "Australia", "AUD", "Australia/Sydney", "Newcastle", "2300", "1 Market Street"},
	{"NZ", "New Zealand", "NZD", "Pacific/Auckland", "Hamilton", "3204", "1 Market Street"},
	{"CN", "China", "CNY", "Asia/Shanghai", "杭州市", "310000", "市场路1号"},
	{"TW", "Taiwan", "TWD", "Asia/Taipei", "台南市", "700", "市場路1號"},
	{"HK", "Hong Kong", "HKD", "Asia/Hong_Kong", "Kowloon", "", "1 Market Street"},
	{"KR", "South Korea", "KRW", "Asia/Seoul", "부산광역시", "48930", "시장로 1"},
	{"SG", "Singapore", "SGD", "Asia/Singapore", "Singapore", "048616", "1 Market Street"},
	{"IN", "India", "INR", "Asia/Kolkata", "Pune", "411001", "1 Market Road"},
	{"CH", "Switzerland", "CHF", "Europe/Zurich", "Winterthur", "8400", "Marktgasse 1"},
	{"SE", "Sweden", "SEK", "Europe/Stockholm", "Uppsala", "753 10", "Torggatan 1"},
	{"NO", "Norway", "NOK", "Europe/Oslo", "Bergen", "5003", "Torggata 1"},
	{"DK", "Denmark", "DKK", "Europe/Copenhagen", "Aarhus", "8000", "Torvegade 1"},
	{"PL", "Poland", "PLN", "Europe/Warsaw", "Łódź", "90-001", "ul. Targowa 1"},
	{"CZ", "Czechia", "CZK", "Europe/Prague", "Brno", "602 00", "Tržní 1"},
	{"HU", "Hungary", "HUF", "Europe/Budapest", "Pécs", "7621", "Piac utca 1"},
	{"RO", "Romania", "RON", "Europe/Bucharest", "Cluj-Napoca", "400001", "Strada Pieței 1"},
	{"TR", "Turkey", "TRY", "Europe/Istanbul", "Bursa", "16010", "Çarşı Sokak 1"},
	{"BR", "Brazil", "BRL", "America/Sao_Paulo", "Curitiba", "80010-000", "Rua do Mercado 1"},
	{"MX", "Mexico", "MXN", "America/Mexico_City", "Puebla", "72000", "Calle del Mercado 1"},
	{"CL", "Chile", "CLP", "America/Santiago", "Valparaíso", "2340000", "Calle del Mercado 1"},
	{"ZA", "South Africa", "ZAR", "Africa/Johannesburg", "Durban", "4001", "1 Market Street"},
	{"AE", "United Arab Emirates", "AED", "Asia/Dubai", "Dubai", "", "1 Market Street"},
	{"IL", "Israel", "ILS", "Asia/Jerusalem", "Haifa", "3303139", "1 Market Street"},
	{"TH", "Thailand", "THB", "Asia/Bangkok", "Chiang Mai", "50000", "1 Market Road"},
	{"VN", "Vietnam", "VND", "Asia/Ho_Chi_Minh", "Đà Nẵng", "550000", "1 Đường Chợ"},
	{"ID", "Indonesia", "IDR", "Asia/Jakarta", "Bandung", "40111", "Jalan Pasar 1"},
	{"PH", "Philippines", "PHP", "Asia/Manila", "Cebu City", "6000", "1 Market Street"},
	{"IS", "Iceland", "ISK", "Atlantic/Reykjavik", "Akureyri", "600", "Torgstræti 1"},
}

// placeOf is the place of a country, else the first one of a currency, else the
// first of all.
func placeOf(country, currency string) place {
	at := slices.IndexFunc(places, func(p place) bool { return p.country == country })
	if at < 0 && country == "" {
		at = slices.IndexFunc(places, func(p place) bool { return p.currency == currency })
	}
	return places[max(0, at)]
}

// countryName is a country's name in English, or its code where places lacks it.
func countryName(code string) string {
	for _, p := range places {
		if p.country == code {
			return p.name
		}
	}
	return code
}

// KnownCurrency tells whether Shopify has a currency by its code. XXX is among
// the codes of ISO 4217 and Shopify, and means none.
func KnownCurrency(code string) bool {
	return code != "XXX" && schemaOf("").EnumHas("CurrencyCode", code)
}

// KnownTimezone tells whether this machine knows a time zone by its IANA name.
func KnownTimezone(name string) bool {
	_, err := time.LoadLocation(name)
	return err == nil && name != "" && name != "Local"
}
