//! Which IP addresses may be connected to when private ones are not allowed: the globally routable unicast ones, and
//! nothing that merely embeds another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is globally routable unicast (IANA's special-purpose registries, RFC 6890 and its updates).
///
/// IPv6 forms that embed an IPv4 address (mapped, NAT64, 6to4) are judged by what they embed, since the kernel or a
/// translator would connect there.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0 // "this network", RFC 791
        || a == 10
        || (a == 172 && (16..=31).contains(&b))
        || (a == 192 && b == 168) // RFC 1918
        || (a == 100 && (64..=127).contains(&b)) // carrier-grade NAT, RFC 6598
        || a == 127
        || (a == 169 && b == 254) // link-local, the metadata service of clouds among it
        || (a == 192 && b == 0 && c == 0) // IETF protocol assignments
        || (a == 192 && b == 0 && c == 2)
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113) // documentation, RFC 5737
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, RFC 7526
        || (a == 198 && (b == 18 || b == 19)) // benchmarking, RFC 2544
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    // The well-known NAT64 prefix, RFC 6052.
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(s[6], s[7]));
    }
    // Global unicast is 2000::/3; everything else (loopback, IPv4-compatible, local NAT64, discard-only, unique local,
    // link-local, site-local, multicast) is not.
    if s[0] & 0xe000 != 0x2000 {
        return false;
    }
    // ISATAP (RFC 5214) puts an IPv4 address into the interface identifier behind 0000:5efe or 0200:5efe.
    if s[4] & !0x0200 == 0 && s[5] == 0x5efe && !is_public_v4(embedded(s[6], s[7])) {
        return false;
    }
    match (s[0], s[1]) {
        // 6to4, RFC 3056: the IPv4 address of the router stands in the next 32 bits.
        (0x2002, high) => is_public_v4(embedded(high, s[2])),
        // 2001::/23 (Teredo, benchmarking, ORCHID and other protocol assignments), and documentation (RFC 3849 and
        // RFC 9637).
        (0x2001, 0..=0x1ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        _ => true,
    }
}

/// The IPv4 address that two segments hold.
fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_special_range() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::10.1.2.3",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:1:2::3",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2002:c0a8:1::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:127.0.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn allows_public_addresses() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.0.0.1",
            "128.0.0.1",
            "140.82.121.34",
            "169.253.1.1",
            "169.255.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:140.82.121.34",
            "64:ff9b::8c52:7922",
            "2002:808:808::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:50c0:8000::153",
            "2a00:1450::1",
            "2606:4700::5efe:8.8.8.8",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
