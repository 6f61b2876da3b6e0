SELECT coalesce(sum(credits), 0)::bigint FROM credits WHERE user_uuid = $1 AND expired_at >= now()
