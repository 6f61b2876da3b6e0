SELECT coalesce(sum(remaining), 0)::bigint FROM packs WHERE user_uuid = $1 AND expired_at > now()
