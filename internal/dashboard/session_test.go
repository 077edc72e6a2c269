package dashboard

import (
	"fmt"
	"testing"
	"time"
)

// The addresses that try must not fill the memory, nor get more tries by being many.
func TestManyAddressesAreOneAttacker(t *testing.T) {
	s, now, allowed := newSignIns(), time.Unix(0, 0), 0
	for i := range 3 * maxAddresses {
		if s.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), now) {
			allowed++
		}
	}
	if allowed != triesOverall || len(s.addresses) > maxAddresses {
		t.Errorf("%d tries allowed, %d addresses remembered", allowed, len(s.addresses))
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	if network("[2001:db8::1]:1") != network("[2001:db8::ffff:1%eth0]:2") || network("[2001:db8::1]:1") == network("[2001:db8:0:1::1]:1") {
		t.Error("IPv6 addresses are not told apart by their network")
	}
	if network("192.0.2.1:1") == network("192.0.2.2:1") || network("[::ffff:192.0.2.1]:1") != network("192.0.2.1:9") {
		t.Error("IPv4 addresses are not told apart one by one")
	}
}
